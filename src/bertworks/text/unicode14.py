"""The classes of characters for BERT's tokenizer, frozen at Unicode 14.0.

The original uses Python's `unicodedata`, which changes with every Python. The tokens of a model must not change with
it, because its weights were trained on them. Here the classes are those of Python 3.11, on every Python.
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np
from numpy.typing import NDArray

SPACE = 1  # ends a word: blank, tab, newline, carriage return and the separators (Zs, Zl, Zp)
DELETED = 2  # is removed, and its neighbours join: NUL, U+FFFD, controls (Cc) and format characters (Cf)
PUNCTUATION = 4  # a word by itself: every ASCII sign, and categories P*
CJK = 8  # a word by itself: the ideographs of the original's eight ranges, assigned or not
MARK = 16  # a non-spacing mark (Mn), dropped if accents are
UNASSIGNED = 32  # not assigned in Unicode 14.0, even if later versions assign it: case and accents are left alone

CJK_RANGES = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)

_LETTERS = {"o": 0, "s": SPACE, "d": DELETED, "p": PUNCTUATION, "m": MARK, "u": UNASSIGNED}


@cache
def kinds() -> NDArray[np.uint8]:
    """Return the kind of every code point, as a sum of the constants above. Shape [0x110000], read-only."""
    runs = re.findall(r"(\d*)(\D)", RUNS)
    letters = np.array([_LETTERS[letter] for _, letter in runs], np.uint8)
    table = np.repeat(letters, [int(count or 1) for count, _ in runs])
    for first, last in CJK_RANGES:
        table[first : last + 1] |= CJK
    table.flags.writeable = False
    return table


# Run lengths over all code points: a count (absent: 1) and a letter of _LETTERS ("o" is any other character). A test
# compares them with a `unicodedata` of version 14.0.
RUNS = (
    "9d2s2ds18ds15p10o7p26o6p26o4p33dsp5op3opod8o2p3op3op576o112m8o2u4opo4u3op3ouou20ou224o5m168ou38o2uo6p41o2p2u3ou4"
    "5mpmp2mp2mpm8u27o4u4o2p11u6d3o2po2p2o11mpd3p43o21m10o4p2om99opo7mdo6m2o2mo4m18o14pudom30o27m2u89o11mo14u43o9m3o3"
    "po2um24o4mo9mo3mo5m2u15pu25o3m2upu11o5u31ou2d6u8m42o24md32m55omom4o8m4om3o7m10o2m2p10op16om2ou8o2u2o2u22ou7ouo3u"
    "4o2um4o4m2u2o2u2omo8uo4u2ou3o2m2u23opm2u2mou6o4u2o2u22ou7ou2ou2ou2o2umu3o2m4u2m2u3m3um7u4ouo7u10o2m3omp10u2mou9o"
    "u3ou22ou7ou2ou5o2um4o5mu2mou2om2uo15u2o2m2u10opo7uo6mum2ou8o2u2o2u22ou7ou2ou5o2um2omo4m2u2o2u2om7u2mo4u2ou3o2m2u"
    "18o10umou6o3u3ou4o3u2ouou2o3u2o3u3o3u12o4u2om2o3u3ou3om2uo6uo14u21o5um3om8ou3ou23ou16o2umo3m4ou3mu4m7u2mu3o2uo2u"
    "2o2m2u10o7up9om2op8ou3ou23ou10ou5o2um2om5oum2ou2o2m7u2o6u2ou2o2m2u10ou2o13u2m11ou3ou41o2m4o4mu3ou3om2o4u14o2m2u2"
    "6oum2ou18o3u24ou9ouo2u7o3um4u3o3mumu8o6u10o2u2op12u48om2o7m4u8o8mp10o2p37u2ouou5ou24ouou10om2o9mo2u5ouou6m2u10o2"
    "u4o32u4o15pop3o2m27omomom4p10ou36o4u14mo5mp2m5o11mu36mu8om6ou2o5p4o2p37u45o4mo6mo2m2o2m11o6p8o2m4o3m16o4m13om2o2"
    "m6om15om40ouo5uo2u43op333ou4o2u7ouou4o2u41ou4o2u33ou4o2u7ouou4o2u15ou57ou4o2u67o2u3m9p20o3u26o6u86o2u6o2up621op1"
    "7os26o2p3u75o3p11o7u18o3mo9u19o2mo2p9u18o2m12u13ou3ou2m12u52o2mo7m8om2o11m3po3p2om2u10o6u10o6u11p3mdm10o6u89o7u5"
    "o2m34omo5u70o10u31ou3m4o2m3o4u2om6o3m4uo3u2p40o2u5o11u44o4u26o6u11o3u57o2m2om2u2p54omo7mumom2o8m6o10m2um10o6u10o"
    "6u7po6p2u14mo16m49u4m48omo5mom5om10o3u10o7p10o9m9o2pu2m32o4m2o2mo3m56omo2m3omo3m2o8u4p44o8m2o2m3u5p10o3u49o2p9o7"
    "u43o2u3o8p8u3mp13mo7m4om6om3o2mo5u192o64m278o2u6o2u38o2u6o2u8ouououou31o2u53ou15ou14o2u6ou19o2u3ou9ou11s5d24p2s5"
    "ds20po13po12ps5du10d2o2u9o2p14o2pu13o3u33o15u13m4om3o12m15u140o4u376o4p29o2p252o25u11o21u776o14p79o2p31o10p403o2"
    "2p63o4p32o2p374o2u32ou344o3m2o5u4po2p38ouo5uo2u56o7uop14um23o9u7ou7ou7ou7ou7ou7ou7ou7ou32m47po32p2o12p34u26ou89o"
    "12u214o26u12o4us3p4o10p2o12p10o4m2op12op2ou86o2u2m5op90op4o5u43ou94ou84o12u47ou29293o3u55o9u46o2p269o3p28o20u47o"
    "m3op10mp31o2m80o2m6p8u203o5u2ouou5o24u16om3om4om25o2m5om3u10o6u52o4p8u68o2m8u2p10o6u18m6o3pop2om38o8m2p23o11m2o1"
    "1up29o3u3m48om2o4m2o2m3o13pu11o4u2p5om25ou41o6m2o2m2o2m9u3om8omo2u10o2u4p28om51omo3m2o2m5o2momo24u3o2p12o2m2o2p4"
    "om10u6o2u6o2u6o9u7ou7ou60o4u117om2om2opom2u10o6u11172o12u23o4u49o4u8814o2u106o38u7o12u5o5uom24ou5ouou2ou2ou125o1"
    "6u363o2p80o2u54o7uo32u16o16m10p6u16m35pu14pop3oupo2p4u5ou135o2udu3po6po4p10o2p3o2p26o3pop27opopo7p89o3u6o2u6o2u6"
    "o2u3o3u7ou7o10u3dod2u12ou26ou19ou2ou15o2u14o34u123o5u3p4u45o3u88ou13o3uo47u45om130u29o3u49o15um27o4u36o9u30o5u38"
    "o5m5u30oup36o4u8op5o42u158o2u10o6u36o4u36o4u40o8u52o11up11ou15ou7ou2ou11ou15ou7ou2o67u311o9u22o10u8o24u6ou42ou9o"
    "69u6o2uou44ou2o3uo2u23oup71o8u9o48u19ou2o5u33o3up26o5up64u56o4u20o2u47o3mu2m5u4m4ou3ou29o2u3m4um9o7u9p7u31op32o3"
    "2u37o2m4u5o7p9u54o3u7p22o2u27o5u26o7u4p12u7o80u73o55u51o13u51o7u42o4m8u10o294u31ou42ou2mp2u2o78u40o8u22o11m4o5p2"
    "2u18o4m4p38u28o20u23o9uom54o15m7p4u30om2o2mo9u3m49o4m2o2m2pd4pm10ud2u25o7u10o6u3m36o5mo8mu10o4p4o8u35om2po9u2m52"
    "o9m6o4p4mpom11opo3pu20o11u18ou28o3m2omo2m6pm65u7ouou4ou15ou10op6u47om3o8m5u10o6u2m2ou8o2u2o2u22ou7ou2ou5ou2m3om4"
    "o2u2o2u3o2uo6uo5u7o2u7m3u5m139u56o8m2o3mom4o5p10o2pupm3o30u51o6mom4o2mo2m2opo8u10o166u50o4m2u4o2mo2m23p4o2m34u51"
    "o8m2omo2m3po11u10o6u13p19u43omom2o6momop6u10o54u27o2u3m2o4mo5m4u12o3p8o185u47o9mo2mp100u83o12u8o2uo2u8ou2ou30ou2"
    "o2u2mom4om3p9u10o70u8o2u42o4m2u2m4omop2o27uo10m40o6m2o4m8pm8uo6m2o3m46o13mo2m3po5p13u73o263u9ou38o7mu6momo5p10u2"
    "9o3u2p30o2u22muo7mo2mo2m73u7ou2ou38o6m3umu2mu7mom8u10o6u6ou2ou37ou2mu2omomo7u10o310u19o2m2o2p183uo15u50o13up922o"
    "102u111ou5p11u196o2636u97o2p13u1071ou9d4039u583o8633u569o7u31ou10o4u2p79ou10o6u30o2u5mp10u48o7m5p8opo10u10ou7ou2"
    "1o5u19o688u87o4p101u75o4um56o7u4m13o64u2opom11u2o14u6136o8u1238o42u9o8935u4ou7ou2ou291o45u3o17u4o8u396o2308u107o"
    "5u13o3u9o7u10o2uo2mp4d4700u46m2u23m9u116o60u246o10u39o2u62o3m9o8d8m2o7m30o4m61o21u66o3mo154u20o12u87o9u25o135u85"
    "ou71ou2o2uo2u2o2u4ou12ouou7ou65ou4o2u8ou7ou28ou4ou5ouo3u7ou340o2u292o2u562o55m4o50m8om14om2o5p15u5mu15m1104u31o2"
    "25u7mu17m2u7mu2mu5m213u45o3u7m7o2u10o4u2o320u30om17u44o4m10o5uo1248u7ou4ou2ou15ou197o2u9o7m41u68o7mo4u10o4u2p785"
    "u68o76u61o194u4ou27ou2ouo2uou10ou4ououo6uo4uououou3ou2ouo2uououououou2ouo2u4ou7ou4ou4ouou10ou17o5u3ou5ou17o52u2o"
    "270u44o4u100o12u15o2u15ou15ou37o10u174o56u29o13u44o4u9o7u2o14u6o154u984o5u16o3u13o3u116o12u89o7u12o4uo15u12o4u56"
    "o8u10o6u40o8u30o2u2o78u340o12u14o2u5o3u5o3u7o9u29o3u11o5u6o10u10o6u8o8u7o9u147ou55o37u10o1030u42720o32u4153o7u22"
    "2o2u5762o14u7473o3103u542o1506u4939o715958ud30u96d128u240m65040u65534o2u65534o2u"
)
