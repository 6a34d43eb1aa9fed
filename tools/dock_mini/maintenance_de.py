"""German phrases of maintenance-note around the fault: asset, frame, state, hurry, asides."""

from __future__ import annotations

from .maintenance_shapes_de import SHAPES
from .phrase import Phrases

ASSETS: dict[str, tuple[str, ...]] = {
    "forklift": (
        "Stapler",
        "Stapler",
        "Gabelstapler",
        "Frontstapler",
        "Gegengewichtsstapler",
        "Elektrostapler",
        "der Stapler",
        "Dieselstapler",
    ),
    "reach_truck": (
        "Schubmaststapler",
        "Schubmaster",
        "Schubmast",
        "Schubmaststapler",
        "Hochregalstapler",
    ),
    "pallet_jack": (
        "Hubwagen",
        "Hubwagen",
        "Ameise",
        "Handhubwagen",
        "Elektrohubwagen",
        "E-Ameise",
        "der Hubwagen",
        "Niederhubwagen",
    ),
    "conveyor": (
        "Förderband",
        "Förderband",
        "Rollenbahn",
        "Band",
        "Förderer",
        "Förderanlage",
        "Transportband",
        "das Band",
        "Gurtförderer",
    ),
    "dock_leveller": (
        "Überladebrücke",
        "Überladebrücke",
        "Ladebrücke",
        "Anpassrampe",
        "Überladerampe",
        "Ladeblech",
    ),
    "door": (
        "Tor",
        "Rolltor",
        "Sektionaltor",
        "Hallentor",
        "Schnelllauftor",
        "das Tor",
        "Tür",
        "Ladetor",
    ),
    "charger": ("Ladegerät", "Ladegerät", "Ladestation", "Batterieladegerät", "Lader"),
    "wrapper": (
        "Wickler",
        "Wickelmaschine",
        "Folienwickler",
        "Stretcher",
        "Palettenwickler",
        "Stretchmaschine",
    ),
    "scanner": ("Scanner", "Handscanner", "Barcodescanner", "MDE", "MDE-Gerät", "Funkscanner"),
    "cooler": (
        "Kühler",
        "Kühlaggregat",
        "Kühlung",
        "Kühlanlage",
        "Kühlraum",
        "Kühlzelle",
        "Gefrierschrank",
        "Kühlschrank",
        "Verdampfer",
    ),
}

FRAMES = Phrases(
    "maintenance-note/de/frame",
    train=(
        "{asset} {verb}",
        "{asset} {verb}",
        "{asset}: {noun}",
        "{asset} {noun}",
        "{asset}, {noun}",
        "{noun} (an|am|bei|von) {asset}",
        "{noun}, {asset}",
        "{asset} hat {noun}",
        "{asset} - {noun}",
        "(Problem|Defekt|Störung|Fehler|Meldung) (an|am|bei|mit) {asset}: {noun}",
        "bei {asset} ist {noun}",
        "(unser|der|die|das|mein) {asset} {verb}",
        "an {asset} {verb}",
        *SHAPES["frame"],
    ),
    held_out=("(Schaden|Problem) bei {asset}: {noun}", "(gemeldet|Info): {asset} {verb}"),
)

OUT_OF_SERVICE = Phrases(
    "maintenance-note/de/out_of_service",
    train=(
        "(außer Betrieb|steht still|steht|Stillstand|ausgefallen|komplett tot|ist aus)",
        "(gesperrt|ist gesperrt|abgesperrt|haben wir gesperrt|Schild dran|stillgelegt|gesichert)",
        (
            "(abgestellt|steht in der Werkstatt|in der Ecke abgestellt|geparkt|zur Seite "
            "gestellt|steht an der Wand)"
        ),
        (
            "(nicht benutzen|bitte nicht benutzen|darf nicht benutzt werden|nicht mehr "
            "verwenden|nicht fahren)"
        ),
        "(abgeschaltet|ausgeschaltet|Schlüssel abgezogen|vom Netz genommen)",
        "(nicht mehr nutzbar|nicht einsatzbereit|kann nicht benutzt werden)",
        *SHAPES["out_of_service"],
    ),
    held_out=("(abgestellt|gesperrt), bitte nicht fahren", "ist jetzt außer Betrieb"),
)

HURRY: dict[str, Phrases] = {
    "urgent": Phrases(
        "maintenance-note/de/urgent",
        train=(
            "(dringend|sehr dringend|eilt|eilig|bitte dringend|es eilt|es ist dringend|Prio 1)",
            (
                "(sofort|bitte sofort|so schnell wie möglich|schnellstmöglich|asap|umgehend|"
                "unverzüglich)"
            ),
            "(gefährlich|Gefahr|Unfallgefahr|nicht sicher|Sicherheitsrisiko|sehr gefährlich)",
            "(Notfall|kann nicht warten|brauchen ihn sofort|heute noch)",
            *SHAPES["urgent"],
        ),
        held_out=("bitte so schnell es geht, dringend", "Achtung, (gefährlich|Gefahr)"),
    ),
    "low": Phrases(
        "maintenance-note/de/low",
        train=(
            "(eilt nicht|keine Eile|nicht dringend|nicht eilig|kein Stress|hat keine Eile|Prio 3)",
            "(kann warten|hat Zeit|kann bis {day} warten|das kann warten|hat noch Zeit)",
            "(bei der|bis zur|zur|mit der) nächsten (Wartung|Inspektion|Prüfung)",
            "(wenn Zeit ist|bei Gelegenheit|irgendwann|wenn ihr Zeit habt|wenn es passt)",
            *SHAPES["low"],
        ),
        held_out=("kann noch warten, keine Eile", "bei Gelegenheit, nicht dringend"),
    ),
}

ASIDES = Phrases(
    "maintenance-note/de/aside",
    train=(
        "(gemeldet von|gesehen von|laut|Gruß) {name}",
        "(seit|um|gegen) {clock}",
        "(Halle|Gang|Zone|Bereich) {small}",
        "(Frühschicht|Spätschicht|Nachtschicht|Schicht {small})",
        "(danke|bitte prüfen|bitte schauen|hallo|Moin|bitte anschauen|servus)",
        "{small} Betriebsstunden",
        "(seit|seit heute) (gestern|morgen|heute früh|{day})",
        "(läuft noch|geht noch|noch nutzbar|fährt noch|kann noch benutzt werden)",
        "({name} weiß Bescheid|mit {name} gesprochen)",
        "(Auftrag|Ticket) {order}",
        "(schon wieder|zum zweiten Mal|wie letzte Woche|keine Ahnung warum|war gestern ok)",
        "(Foto|Bild) (gemacht|im Anhang)",
        *SHAPES["aside"],
    ),
    held_out=("{name} hat es gesehen", "Halle {small}, geht noch", "Ticket Nr {order}"),
)

DOING = (
    "Heben",
    "Fahren",
    "Bremsen",
    "Senken",
    "Anfahren",
    "Lenken",
    "Starten",
    "Schließen",
    "Öffnen",
    "Rückwärtsfahren",
    "Abbiegen",
    "Hochfahren",
    "Laden",
)
DAYS = ("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "nächste Woche")
NUMBER_FORMS = (
    "{n}",
    "{n}",
    "{n}",
    "{n}",
    "Nr. {d}",
    "Nr {n}",
    "#{d}",
    "Nummer {n}",
    "{d}",
    "{d:02}",
    "-{d}",
    "(Nr. {d})",
    "Nr.{d}",
)
