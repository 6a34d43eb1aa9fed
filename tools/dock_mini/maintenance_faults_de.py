"""German words for the faults of maintenance-note.

A fault is said as a verb ("leaks oil") or as a noun ("oil leak").
"""

from __future__ import annotations

from .maintenance_shapes_de import SHAPES
from .phrase import Phrases

_OEL = "(Öl|Hydrauliköl|Flüssigkeit|Hydraulikflüssigkeit|Wasser|Kühlmittel|Säure|Bremsflüssigkeit)"
_ORT = "(stark|etwas|leicht|ständig|schon wieder|seit {clock}|)"
_TEIL = (
    "(Gabel|Mast|Sitz|Spiegel|Griff|Lippe|Scharnier|Platte|Abdeckung|Verkleidung|"
    "Feder|Kette|Rahmen|Deichsel|Gehäuse|Lamelle|Schutzgitter|Hebel|Zinke)"
)

VERBS: dict[str, Phrases] = {
    "leak": Phrases(
        "maintenance-note/de/leak/verb",
        train=(
            "(verliert|leckt|tropft|lässt) " + _OEL + " " + _ORT,
            "(ist undicht|undicht|leckt|tropft|ist nicht dicht)( am Zylinder| am Schlauch| unten|)",
            "(hat|mit) " + _OEL + " (unter sich|am Boden|auf dem Boden|unten dran)",
            _OEL + " (läuft aus|tropft raus|läuft raus|auf dem Boden|tritt aus|am Boden)",
            "(Schlauch|Dichtung|Zylinder|Pumpe) (undicht|leckt|tropft|ist undicht)",
            *SHAPES["leak/verb"],
        ),
        held_out=("lässt " + _OEL + " auf den Boden tropfen", "(Pumpe|Dichtung) verliert " + _OEL),
    ),
    "battery": Phrases(
        "maintenance-note/de/battery/verb",
        train=(
            "(lädt nicht|lädt nicht mehr|wird nicht geladen|lädt nicht richtig|lädt schlecht)",
            (
                "(Batterie|Akku) (leer|schwach|defekt|tot|ist leer|hält nicht|ist schwach|hält "
                "nur {small} Minuten|zu schnell leer|schnell leer|entlädt sich)"
            ),
            "(braucht|benötigt) (neue Batterie|neuen Akku|eine neue Batterie)",
            "(ist |)(ständig|immer|nach {small} Minuten) (leer|entladen)",
            "(hält|hält die) (keine Ladung|Ladung nicht)",
            *SHAPES["battery/verb"],
        ),
        held_out=("Akku ist nach {small} Minuten leer", "lädt die Batterie nicht"),
    ),
    "brakes": Phrases(
        "maintenance-note/de/brakes/verb",
        train=(
            "(bremst nicht|bremst schlecht|bremst kaum|bremst zu spät|bremst nicht mehr richtig)",
            (
                "(Bremse|Bremsen|Handbremse|Feststellbremse|Fußbremse) (defekt|schwach|weich|"
                "abgenutzt|hält nicht|greift nicht|ohne Wirkung|kaputt|verschlissen|reagiert "
                "nicht|zu schwach)"
            ),
            "(braucht|benötigt) (neue |)(Bremsbeläge|Bremsen)",
            "(rollt|rutscht) (beim Bremsen|weiter wenn man bremst|trotz Bremse)( weiter|)",
            "(hat |)(keine Bremsen|keine Bremswirkung|keine Bremse)( mehr|)",
            *SHAPES["brakes/verb"],
        ),
        held_out=("Handbremse (greift|hält) nicht", "bremst sehr schwach"),
    ),
    "noise": Phrases(
        "maintenance-note/de/noise/verb",
        train=(
            (
                "(macht|hat|mit) (komische|laute|seltsame|schleifende|starke|merkwürdige) "
                "(Geräusche|Töne)( beim {doing}|)"
            ),
            "(macht|hat) (ein |)(komisches|lautes|seltsames|schleifendes) Geräusch( beim {doing}|)",
            (
                "(quietscht|klappert|rattert|knarrt|pfeift|brummt|klopft|schleift|kreischt|"
                "knackt|scheppert)( "
            )
            + _ORT
            + "| beim {doing}|)",
            "(ist |)(sehr|zu|extrem|ungewöhnlich) laut( beim {doing}|)",
            "(klingt|hört sich) (komisch|schlecht|ungesund|nicht gut)( an|)",
            *SHAPES["noise/verb"],
        ),
        held_out=("(klappert|quietscht) laut beim {doing}", "macht (laute|komische) Töne"),
    ),
    "jam": Phrases(
        "maintenance-note/de/jam/verb",
        train=(
            (
                "(klemmt|blockiert|ist blockiert|hängt|steckt fest|ist verklemmt|verstopft|"
                "sitzt fest)( "
            )
            + _ORT
            + "|)",
            (
                "(Karton|Folie|Palette|Holz|Kiste|Paket|Pappe) (steckt fest|klemmt|verklemmt|"
                "eingeklemmt|hängt fest)( unter dem Band| im Gerät| drin|)"
            ),
            (
                "(geht nicht|lässt sich nicht) (auf|zu|öffnen|schließen|bewegen|mehr zu), "
                "(klemmt|blockiert|verklemmt)"
            ),
            "(von|durch) (Karton|Kiste|Holzstück|Palette) (blockiert|verstopft)",
            *SHAPES["jam/verb"],
        ),
        held_out=("(Kiste|Karton) hat sich verklemmt", "ist blockiert, lässt sich nicht bewegen"),
    ),
    "broken_part": Phrases(
        "maintenance-note/de/broken_part/verb",
        train=(
            _TEIL
            + (
                " (ist |)(verbogen|gebrochen|gerissen|abgebrochen|locker|fehlt|lose|abgefallen|"
                "beschädigt|verzogen|krumm)"
            ),
            "(hat|mit) (verbogene|gebrochene|gerissene|lose|kaputte|beschädigte) " + _TEIL,
            "(Schraube|Bolzen|Abdeckung|Spiegel|Griff) (fehlt|verloren|lose|weg|abgebrochen)",
            *SHAPES["broken_part/verb"],
        ),
        held_out=(_TEIL + " ist angebrochen und lose", "(hat |)" + _TEIL + " verloren, fehlt"),
    ),
    "electrical": Phrases(
        "maintenance-note/de/electrical/verb",
        train=(
            "(hat |)(keinen Strom|kein Strom|ohne Strom|Stromausfall|Kurzschluss|kein Licht)",
            (
                "(funkt|sprüht Funken|hat Funken gesprüht|riecht nach verbranntem Kabel|gibt "
                "Stromschläge)"
            ),
            "(Sicherung|Hauptschalter|FI) (rausgeflogen|defekt|fliegt raus|durchgebrannt|löst aus)",
            (
                "(Kabel|Stecker|Leitung|Steckdose|Anschluss) (ist |)(defekt|lose|beschädigt|"
                "verbrannt|abgerissen|geschmolzen|angeschmort|offen)"
            ),
            (
                "(Display|Bildschirm|Anzeige|Licht|Bedienfeld) (ist |)(schwarz|dunkel|tot|aus|"
                "defekt|flackert|geht nicht|eingefroren)"
            ),
            (
                "(geht nicht an|lässt sich nicht einschalten|schaltet nicht ein|startet nicht|"
                "reagiert nicht)"
            ),
            "(zeigt|meldet|hat) Fehler {code}",
            *SHAPES["electrical/verb"],
        ),
        held_out=(
            "Display dunkel, (startet|geht) nicht",
            "Stecker ist verbrannt, (kein|ohne) Strom",
        ),
    ),
    "overheating": Phrases(
        "maintenance-note/de/overheating/verb",
        train=(
            (
                "(überhitzt|wird zu heiß|wird heiß|läuft heiß|ist zu heiß|wird sehr warm|läuft "
                "zu warm)( "
            )
            + _ORT
            + "|)",
            (
                "(Motor|Pumpe|Gehäuse|Kompressor|Lüfter) (wird heiß|zu heiß|überhitzt|läuft "
                "heiß|sehr heiß|glüht)( nach {small} Minuten|)"
            ),
            "(kühlt nicht|kühlt nicht mehr|kühlt schlecht|wird nicht kalt|kühlt nicht richtig)",
            (
                "(Temperaturwarnung|Temperatur zu hoch|zu warm|Temperaturanzeige rot|{small} "
                "Grad drin)"
            ),
            "(raucht|Motor raucht|riecht heiß)",
            *SHAPES["overheating/verb"],
        ),
        held_out=("Motor läuft nach {small} Minuten zu heiß", "wird beim {doing} zu heiß"),
    ),
    "wheel": Phrases(
        "maintenance-note/de/wheel/verb",
        train=(
            (
                "(Rad|Reifen|Vorderrad|Hinterrad|Rolle|Lenkrolle|Laufrolle|Antriebsrad|"
                "Vorderreifen|Lastrolle) (ist |)(platt|kaputt|abgefahren|lose|defekt|gerissen|"
                "verschlissen|eiert|locker|gebrochen|ab|abgenutzt|hat einen Platten)"
            ),
            "(hat|mit) (einen Platten|plattem Reifen|kaputtem Rad|kaputter Rolle|losem Rad)",
            "(braucht|benötigt) (neue Reifen|neue Rollen|neues Rad|neue Räder)",
            *SHAPES["wheel/verb"],
        ),
        held_out=("Hinterrad ist (lose|platt)", "hat eine kaputte Rolle"),
    ),
}

NOUNS: dict[str, Phrases] = {
    "leak": Phrases(
        "maintenance-note/de/leak/noun",
        train=(
            "(Ölverlust|Leck|Leckage|Ölfleck|Hydraulikleck|Undichtigkeit|Öllache|Öl am Boden)",
            *SHAPES["leak/noun"],
        ),
        held_out=("(Leck|Leckage) am Zylinder",),
    ),
    "battery": Phrases(
        "maintenance-note/de/battery/noun",
        train=(
            (
                "(Batterie leer|Akku leer|Batterieproblem|Akkuproblem|Batterie defekt|schwache "
                "Batterie|Ladefehler)"
            ),
            *SHAPES["battery/noun"],
        ),
        held_out=("(Akku|Batterie) schwach und leer",),
    ),
    "brakes": Phrases(
        "maintenance-note/de/brakes/noun",
        train=(
            (
                "(Bremse defekt|Bremsenproblem|Bremsversagen|schlechte Bremsen|Bremsdefekt|"
                "schwache Bremse)"
            ),
            *SHAPES["brakes/noun"],
        ),
        held_out=("(Bremsdefekt|Bremse schwach)",),
    ),
    "noise": Phrases(
        "maintenance-note/de/noise/noun",
        train=(
            "(komische|laute|schleifende|seltsame) Geräusche( beim {doing}|)",
            "(Quietschen|Klappern|Rattern|Schleifgeräusch|Klopfen|Pfeifen)( beim {doing}|)",
            *SHAPES["noise/noun"],
        ),
        held_out=("(lautes|starkes) Klappern beim {doing}",),
    ),
    "jam": Phrases(
        "maintenance-note/de/jam/noun",
        train=(
            "(Stau|Kartonstau|Blockade|Folienstau|Verklemmung|Störung durch Karton|Paketstau)",
            *SHAPES["jam/noun"],
        ),
        held_out=("(Blockade|Stau) durch Kiste",),
    ),
    "broken_part": Phrases(
        "maintenance-note/de/broken_part/noun",
        train=(
            "(verbogene|gebrochene|gerissene|lose|fehlende|kaputte|abgebrochene) " + _TEIL,
            _TEIL + " (gebrochen|verbogen|fehlt|abgebrochen)",
            *SHAPES["broken_part/noun"],
        ),
        held_out=("beschädigte " + _TEIL,),
    ),
    "electrical": Phrases(
        "maintenance-note/de/electrical/noun",
        train=(
            (
                "(Stromausfall|Kurzschluss|Elektrikfehler|kein Strom|Kabelbruch|defektes Kabel|"
                "Sicherung defekt|Elektroproblem|Fehler {code}|Wackelkontakt)"
            ),
            *SHAPES["electrical/noun"],
        ),
        held_out=("(Kabel|Sicherung) durchgebrannt, Kurzschluss",),
    ),
    "overheating": Phrases(
        "maintenance-note/de/overheating/noun",
        train=(
            (
                "(Überhitzung|Motor überhitzt|Übertemperatur|Temperaturwarnung|Kühlproblem|"
                "heißer Motor)"
            ),
            *SHAPES["overheating/noun"],
        ),
        held_out=("Überhitzung, Motor zu heiß",),
    ),
    "wheel": Phrases(
        "maintenance-note/de/wheel/noun",
        train=(
            (
                "(Reifenschaden|platter Reifen|kaputte Rolle|Rad lose|Reifen platt|loses Rad|"
                "Rolle kaputt|abgefahrene Reifen|Plattfuß|defektes Rad)"
            ),
            *SHAPES["wheel/noun"],
        ),
        held_out=("(Rolle|Rad) gerissen",),
    ),
}
