"""Which language a text is in, where script or everyday little words tell it. No model, no guess.

Where a script belongs to one language the letters decide; else the most frequent function words do, and
when two languages are close the answer is None.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_SCRIPT_LANGUAGES = {
    "HANGUL": ("korean",),
    "THAI": ("thai",),
    "TAMIL": ("tamil",),
    "TELUGU": ("telugu",),
    "KANNADA": ("kannada",),
    "MALAYALAM": ("malayalam",),
    "GUJARATI": ("gujarati",),
    "GURMUKHI": ("punjabi",),
    "BENGALI": ("bengali",),
    "ORIYA": ("odia",),
    "SINHALA": ("sinhala",),
    "HEBREW": ("hebrew",),
    "GREEK": ("greek",),
    "ARMENIAN": ("armenian",),
    "GEORGIAN": ("georgian",),
    "ETHIOPIC": ("amharic",),
    "KHMER": ("khmer",),
    "LAO": ("lao",),
    "MYANMAR": ("burmese",),
    "DEVANAGARI": ("hindi", "marathi", "nepali"),
    "ARABIC": ("arabic", "persian", "urdu"),
    "CYRILLIC": ("russian", "ukrainian", "bulgarian", "serbian", "macedonian"),
    "LATIN": (),
}

_LITTLE_WORDS = {
    "english": "the a this of and to in is that it for was on are with as be this you not have but or by "
    "from at an we they your can will which their has if its our more when what who would",
    "german": "der die das und ist nicht ein eine einen zu den mit von für auf im dem des sich auch es ich "
    "sie wir wie werden wird sind bei oder als an aus um kann einer dass war hat ihr",
    "french": "le la les des et est un une du que qui pour dans en pas au sur avec ce il elle nous vous je "
    "se son sont plus par ou mais cette leur être ne aux à votre",
    "spanish": "el la los las de que y en un una es por con para se no del al lo como más su sus pero este "
    "esta son o muy también mi ser tu hay está cuando ha",
    "portuguese": "o a os as de que e em um uma é não por com para se do da no na dos das ao mais como mas "
    "seu sua ou são você também ser foi pelo pela está isso",
    "italian": "il lo la i gli le di che e è un una in per con non del della dei delle si al da sono come "
    "più ma anche questo questa o nel alla ha su mi ci essere",
    "dutch": "de het een en van is dat in te niet op met voor zijn er aan ook als om maar bij je deze wordt "
    "door naar ze we ik hij dit kan of uit worden",
    "swedish": "och att det i en är som på för med av den inte till ett om har de kan vi jag du så men från "
    "eller vid var deras detta sig",
    "danish": "og at det i en er som på for med af den ikke til et om har de kan vi jeg du så men fra eller "
    "ved var deres dette sig blev også",
    "norwegian": "og at det i en er som på for med av den ikke til et om har de kan vi jeg du så men fra "
    "eller ved var deres dette seg ble også",
    "finnish": "ja on ei se että oli kun mutta myös hän ovat tai kuin niin joka jotka minä sinä ole ne voi "
    "sekä tämä mitä jos olla hyvin enemmän olen kanssa",
    "polish": "i w na z nie że się do jest to jak o po co za ale od dla są przez oraz który które ten jego "
    "czy może być tym tak",
    "czech": "a v se na je že s z do to i o jako pro za ale by ve po jsou od které který když nebo podle "
    "být také si aby",
    "slovak": "a v sa na je že s z do to aj o ako pre za ale by vo po sú od ktoré ktorý keď alebo podľa byť "
    "si aby",
    "hungarian": "a az és hogy nem is egy van de ez meg csak már mint el vagy azt volt ha még lehet ami "
    "nagyon minden amely",
    "romanian": "și de în a la nu cu o este că pe un pentru din mai care sunt ce se ca sau fi dar lui prin "
    "acest această au să",
    "turkish": "ve bir bu da de için ile çok olarak daha ne gibi olan en ama var mi her o değil veya kadar "
    "sonra ben sen olduğu",
    "vietnamese": "là và của có không được cho một trong với các những này để người đã khi từ cũng như đó "
    "nhiều bạn tôi về ra năm",
    "indonesian": "yang dan di dengan untuk ini dari tidak itu dalam pada ke adalah akan kami anda bisa "
    "atau juga oleh saya kita ada karena telah dapat",
    "swahili": "na ya wa kwa ni katika za la kama hii kuwa cha au pia yake ili hiyo lakini sana yako vya "
    "wao huu watu kila wakati hivyo mimi bila ambayo",
    "tagalog": "ang ng sa na mga at ay ito hindi para kung ko mo siya niya ako ikaw isang may ka din "
    "kanilang mula",
    "croatian": "i u je se na da za su od koji kao s ne o to što ili ali biti koje sve može bio nije",
    "lithuanian": "ir yra kad į su iš ne tai kaip bet arba apie už ar jis buvo gali taip po per",
    "latvian": "un ir ka ar no uz par kas nav bet kā vai lai arī tas pēc to var bija",
    "estonian": "ja on ei et see ka kui oma mis oli aga või ning ta kes nii siis seda olla",
    "catalan": "el la els les de que i en un una és per amb no del al com més seu però aquest aquesta són o "
    "també molt ha ser",
    "afrikaans": "die en van is dit in te nie om vir met wat het sy aan ook as maar op was deur word hulle "
    "ons jy",
    "somali": "iyo waa ka ku in oo u la ah waxaa uu ay aan ayaa si",
    "hindi": "है के की में और को से का हैं यह एक पर नहीं भी कि लिए था थी थे ने जो हम वह तो हो रहा कर इस आप या",
    "marathi": "आहे आणि च्या ला मध्ये हे की एक नाही तर या ते आहेत होते होता करून पण हा ही त्या असे साठी काही मी",
    "nepali": "छ र को मा ले छन् हो यो लाई एक पनि गर्न भएको गर्ने छैन तर थियो हुन्छ गरेको यस लागि तपाईं हामी हुने",
    "arabic": "في من على إلى أن هذا هذه التي الذي عن مع لا ما كان هو هي أو كل بعد قد ذلك لم بين يمكن",
    "persian": "و در به از که این را با است برای آن می یک تا بر هم نیز شما خود ما های اند یا شود هر کند",
    "urdu": "ہے کے کی میں اور کو سے کا ہیں یہ ایک پر نہیں بھی کہ لیے تھا نے جو ہم وہ تو ہو اس آپ یا کر",
    "russian": "и в не на что с как это по из для к но от все так его за он она они или то же мы вы быть "
    "есть был",
    "ukrainian": "і в не на що з як це по для до але від та його за він вона вони або ми ви бути є був й у "
    "також",
    "bulgarian": "и в не на че с като това по за до но от да са се е той тя те или ние вие може бъде при "
    "има ще",
    "serbian": "и у не на да са као то по за до али од је се су он она они или ми ви може бити при има ће "
    "који",
    "macedonian": "и во не на дека со како тоа по за до но од да се е тој таа тие или ние вие може ќе има "
    "кои",
}
_LITTLE = {language: frozenset(words.split()) for language, words in _LITTLE_WORDS.items()}
_ALIASES = {
    "farsi": "persian",
    "mandarin": "chinese",
    "simplified chinese": "chinese",
    "filipino": "tagalog",
    "malay": "indonesian",
    "bangla": "bengali",
    "kiswahili": "swahili",
    "panjabi": "punjabi",
    "traditional chinese": "chinese",
    "castilian": "spanish",
}
_TELLING = {
    "persian": "پچژگ",
    "urdu": "ٹڈڑںےہھ",
    "ukrainian": "іїєґ",
    "russian": "ыэё",
    "serbian": "ђћџљњ",
    "macedonian": "ѓќѕ",
    "hindi": ("है", "में", "ों"),
    "nepali": ("हरू", "लाई", "नुहोस्", "बाट", "ँछ", "न्छ"),
    "marathi": ("च्या", "ळ", "आहे", "ण्या"),
}
_SAMPLE = 20_000

_NEVER_ASCII = frozenset({"chinese", "japanese"}.union(*_SCRIPT_LANGUAGES.values()))

LANGUAGES = frozenset({*_LITTLE, *_ALIASES, "chinese", "japanese"}.union(*_SCRIPT_LANGUAGES.values()))
"""Names that a criterion may use, in lower case."""


def is_written_in(text: str, language: str) -> bool | None:
    """Whether the text is, in the main, in `language` (an English name). None where nothing tells.

    Reads the first 20,000 characters.
    """
    wanted = _ALIASES.get(language.lower(), language.lower())
    if wanted not in LANGUAGES:
        return None
    found = language_of(text)
    if found is None and text.isascii() and any(char.isalpha() for char in text):
        # A title, a list of names, code: nothing speaks against English and much against any other.
        return True if wanted == "english" else False if wanted in _NEVER_ASCII else None
    return None if found is None else found == wanted


def language_of(text: str) -> str | None:
    """The main language of a text as an English name in lower case, or None where nothing tells."""
    sample = text[:_SAMPLE]
    scripts = Counter(_script(char) for char in sample if char.isalpha())
    if not scripts:
        return None
    script, n_letters = scripts.most_common(1)[0]
    # Han and Latin words stand inside Japanese and Korean, so kana and Hangul decide from a share on.
    n_all = sum(scripts.values())
    if scripts["KANA"] > 0.1 * n_all:
        return "japanese"
    if script == "HAN":
        return "chinese"
    if n_letters < 0.5 * n_all:
        return None
    languages = _SCRIPT_LANGUAGES.get(script)
    if languages is None:
        return None
    if len(languages) == 1:
        return languages[0]
    return _by_little_words(sample, languages or _latin())


def _script(char: str) -> str:
    if char < "\u0250":
        return "LATIN"
    name = unicodedata.name(char, "").split(" ")[0]
    return {"CJK": "HAN", "HIRAGANA": "KANA", "KATAKANA": "KANA", "KATAKANA-HIRAGANA": "KANA"}.get(name, name)


def _latin() -> tuple[str, ...]:
    other = {language for languages in _SCRIPT_LANGUAGES.values() for language in languages}
    return tuple(sorted(language for language in _LITTLE if language not in other))


def _by_little_words(sample: str, languages: tuple[str, ...]) -> str | None:
    # Vowel signs of Indic scripts are no \w, so words are split at white space and punctuation.
    counts = Counter(re.findall(r"[^\s.,;:!?()\[\]{}\"“”«»*_#।،؟/0-9-]+", sample.lower()))
    n_words = sum(counts.values())
    score = {
        language: sum(counts[word] for word in _LITTLE[language]) / n_words
        + 0.5 * sum(sample.count(char) for char in _TELLING.get(language, "")) / len(sample)
        for language in languages
    }
    (best, first), (_, second) = sorted(score.items(), key=lambda item: (-item[1], item[0]))[:2]
    enough = 0.08 if n_words >= 12 else 0.2
    return best if first >= enough and first >= 1.15 * second else None
