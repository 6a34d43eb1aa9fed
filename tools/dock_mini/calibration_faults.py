"""Faults of maintenance-note as only the calibration split says them, by phrase group."""

from __future__ import annotations

_FLUID = "(oil|hydraulic oil|coolant|brake fluid|water|grease)"
_OEL = "(Öl|Hydrauliköl|Wasser|Kühlmittel|Flüssigkeit)"
_ACEITE = "(aceite|agua|líquido|refrigerante|aceite hidráulico)"
_PART = "(handle|cover|mirror|fork|seat|hinge|panel)"
_TEIL = "(Gabel|Spiegel|Griff|Abdeckung|Scharnier|Sitz)"
_PIEZA = "(tapa|palanca|cadena|bisagra|horquilla|manija)"

_EN: dict[str, tuple[str, ...]] = {
    "leak/verb": (
        "lets " + _FLUID + " (out|run out)",
        "(stands|stood) in a pool of " + _FLUID,
        _FLUID + " (runs|comes|flows) out of it",
        "keeps (dripping|losing) " + _FLUID + " since {clock}",
    ),
    "battery/verb": (
        "battery (gives up|goes flat) (early|before noon)",
        "cannot be charged (up|to full)",
        "charges but is empty (again |)in {small} minutes",
        "says battery low right after charging",
    ),
    "brakes/verb": (
        "hardly brakes (any more|at all)",
        "needs (too long|very long) to stop, brakes",
        "brake pedal (goes down|sinks) and nothing happens",
        "brakes (pull|grab) to one side",
    ),
    "noise/verb": (
        "sounds (awful|terrible) each time when {doing}",
        "there is a (grinding|knocking) (sound|noise) from it",
        "(knocks|clunks|screeches) (each|every) time when {doing}",
        "hums and squeals (very |)loudly",
    ),
    "jam/verb": (
        "got jammed (by|with) a (box|pallet)",
        "will not move, (something|a box) is stuck in it",
        "(keeps|kept) jamming (at|on) the same (place|spot)",
        "is blocked by (film|a carton)",
    ),
    "broken_part/verb": (
        "lost its " + _PART + ", broken",
        "its " + _PART + " is (in pieces|in two)",
        _PART + " (came|fell) off it and is broken",
        "has a " + _PART + " that (snapped|cracked)",
    ),
    "electrical/verb": (
        "gets no power (from the plug|at all)",
        "(display|screen) stays (black|dark) after switching on",
        "(fuse|cable) (went|blew), no power",
        "(switches|turns) itself off, loose cable",
    ),
    "overheating/verb": (
        "motor (becomes|gets) hot (very |)quickly, overheats",
        "(had|has) to cool down, it was too hot",
        "overheated (at|about) {clock}",
        "stops from heat after {small} min",
    ),
    "wheel/verb": (
        "one (wheel|tyre) (has|lost) no air",
        "is driving on a (flat|broken) (wheel|tyre)",
        "the front (wheel|tyre) (came|is) loose",
        "rolls badly, (wheel|castor) worn down",
    ),
    "leak/noun": (
        "(puddle|drops) of " + _FLUID + " below, leaking",
        _FLUID + " (loss|leaking) (again|noted)",
        "leaking " + _FLUID + " (hose|line)",
    ),
    "battery/noun": (
        "battery (not charging|charge) problem",
        "battery (empty|flat) all the time",
        "(charging|charge) trouble, battery",
    ),
    "brakes/noun": (
        "brakes (much too soft|not right)",
        "some trouble with brakes",
        "brake (pedal|lever) without effect",
    ),
    "noise/noun": (
        "(bad|ugly) (noise|sound) during {doing}",
        "squealing and (knocking|grinding)",
        "noise (problem|complaint) when {doing}",
    ),
    "jam/noun": (
        "(box|pallet) stuck in it, jammed",
        "jam caused by (film|a box)",
        "jammed (again|once more) by cartons",
    ),
    "broken_part/noun": (
        _PART + " (in pieces|off and broken)",
        "a (snapped|cracked) " + _PART,
        "damage to the " + _PART + ", broken",
    ),
    "electrical/noun": (
        "no power, (fuse|cable) fault",
        "(screen|display) dark, electrical",
        "loose (cable|contact), sparks seen",
    ),
    "overheating/noun": (
        "motor heat, overheated",
        "much too hot motor",
        "overheating (again|trouble) after {small} min",
    ),
    "wheel/noun": (
        "front (wheel|tyre) without air",
        "(wheel|castor) off, broken wheel",
        "wheel (problem|trouble), tyre flat",
    ),
}
_DE: dict[str, tuple[str, ...]] = {
    "leak/verb": (
        "(steht|stand) in einer Lache " + _OEL,
        _OEL + " (läuft|kommt) unten heraus",
        "tropft seit {clock} " + _OEL,
        "lässt " + _OEL + " ab",
    ),
    "battery/verb": (
        "Batterie gibt (früh|mittags) auf",
        "lässt sich nicht (aufladen|voll laden)",
        "meldet Batterie leer gleich nach dem Laden",
        "nach {small} Min schon leer, Akku",
    ),
    "brakes/verb": (
        "bremst kaum noch",
        "Bremspedal sinkt, nichts passiert",
        "braucht zu lange zum Anhalten, Bremse",
        "zieht beim Bremsen zur Seite, Bremse",
    ),
    "noise/verb": (
        "klingt (schlecht|schlimm) beim {doing}",
        "(klopft|schleift|kreischt) jedes Mal beim {doing}",
        "brummt und pfeift sehr laut",
        "ein (Klopfen|Schleifen) kommt von unten",
    ),
    "jam/verb": (
        "hat sich mit (einer Kiste|einem Karton) verkeilt",
        "geht nicht weiter, (Karton|Folie) steckt fest",
        "klemmt immer an der gleichen Stelle",
        "blockiert seit {clock} durch (Folie|Karton)",
    ),
    "broken_part/verb": (
        "hat die " + _TEIL + " gebrochen",
        _TEIL + " ist in zwei Teilen",
        _TEIL + " fiel ab und ist gebrochen",
        "da ist die " + _TEIL + " abgerissen",
    ),
    "electrical/verb": (
        "bekommt gar keinen Strom",
        "Anzeige bleibt schwarz nach dem Einschalten",
        "(Sicherung|Kabel) ist durch, kein Strom",
        "schaltet sich selbst ab, Kabel lose",
    ),
    "overheating/verb": (
        "wird sehr schnell heiß, überhitzt",
        "musste abkühlen, war zu heiß",
        "überhitzte gegen {clock}",
        "stoppt wegen Hitze nach {small} Min",
    ),
    "wheel/verb": (
        "ein (Rad|Reifen) hat keine Luft",
        "fährt auf einem (platten|kaputten) Reifen",
        "das Vorderrad wurde lose",
        "rollt schlecht, Rolle abgefahren",
    ),
    "leak/noun": (
        "(Lache|Tropfen) " + _OEL + " darunter, undicht",
        _OEL + "verlust (wieder|bemerkt)",
        "undichte Leitung, " + _OEL,
    ),
    "battery/noun": (
        "Batterie lädt nicht, Problem",
        "Akku dauernd leer",
        "Ärger mit der Batterie",
    ),
    "brakes/noun": (
        "Bremse zu weich",
        "viel Ärger mit den Bremsen",
        "Bremspedal ohne Wirkung",
    ),
    "noise/noun": (
        "(schlimmes|hässliches) Geräusch beim {doing}",
        "Pfeifen und (Klopfen|Schleifen)",
        "Geräusch zu laut beim {doing}",
    ),
    "jam/noun": (
        "Karton steckt darin fest",
        "Klemmer durch (Folie|Kiste)",
        "wieder durch Kartons verklemmt",
    ),
    "broken_part/noun": (
        _TEIL + " ab und gebrochen",
        "eine gerissene " + _TEIL,
        "Bruch an der " + _TEIL,
    ),
    "electrical/noun": (
        "kein Strom, (Sicherung|Kabel) defekt",
        "Anzeige schwarz, Elektrik",
        "lockeres Kabel, Funken gesehen",
    ),
    "overheating/noun": (
        "Hitze am Motor, überhitzt",
        "viel zu heißer Motor",
        "Überhitzung wieder nach {small} Min",
    ),
    "wheel/noun": (
        "Vorderrad ohne Luft",
        "Rolle ab, Rad kaputt",
        "Ärger mit dem Reifen, platt",
    ),
}
_ES: dict[str, tuple[str, ...]] = {
    "leak/verb": (
        "está en un charco de " + _ACEITE,
        "le sale " + _ACEITE + " por abajo",
        "desde las {clock} suelta " + _ACEITE,
        "se le va el " + _ACEITE + ", gotea",
    ),
    "battery/verb": (
        "la batería se rinde (pronto|a mediodía)",
        "no se deja cargar del todo, batería",
        "dice batería baja recién cargada",
        "en {small} min ya está sin batería",
    ),
    "brakes/verb": (
        "casi no frena ya",
        "el pedal de freno baja y no pasa nada",
        "tarda mucho en parar, frenos",
        "se va de lado al frenar, frenos",
    ),
    "noise/verb": (
        "al {doing} suena (mal|fatal)",
        "(golpea|chirría) cada vez al {doing}",
        "zumba y pita muy fuerte",
        "de abajo viene un (golpeteo|chirrido)",
    ),
    "jam/verb": (
        "se trabó con (una caja|un cartón)",
        "no sigue, hay (una caja|film) dentro atascado",
        "se atasca siempre en el mismo sitio",
        "está bloqueada por (film|un cartón)",
    ),
    "broken_part/verb": (
        "perdió la " + _PIEZA + ", rota",
        "tiene la " + _PIEZA + " en dos",
        "se le cayó la " + _PIEZA + " y está rota",
        "la " + _PIEZA + " se partió",
    ),
    "electrical/verb": (
        "no recibe nada de corriente",
        "la pantalla sigue negra al encender",
        "se quemó (el fusible|el cable), sin corriente",
        "se apaga sola, cable suelto",
    ),
    "overheating/verb": (
        "se pone caliente muy rápido, se sobrecalienta",
        "tuvo que enfriarse, estaba demasiado caliente",
        "se recalentó hacia las {clock}",
        "se para por calor a los {small} min",
    ),
    "wheel/verb": (
        "una rueda está sin aire",
        "anda con una rueda (rota|pinchada)",
        "la rueda delantera se aflojó",
        "rueda mal, rodillo gastado",
    ),
    "leak/noun": (
        "(charco|gotas) de " + _ACEITE + " debajo",
        "pérdida de " + _ACEITE + " (otra vez|vista)",
        "manguera con fuga de " + _ACEITE,
    ),
    "battery/noun": (
        "la batería no carga, problema",
        "batería siempre vacía",
        "lío con la batería",
    ),
    "brakes/noun": (
        "frenos demasiado blandos",
        "lío con los frenos",
        "pedal de freno sin efecto",
    ),
    "noise/noun": (
        "(mal|feo) ruido al {doing}",
        "pitido y golpes fuertes",
        "al {doing} demasiado ruido",
    ),
    "jam/noun": (
        "caja metida dentro, atascada",
        "atasco por (film|una caja)",
        "otra vez atascada con cartones",
    ),
    "broken_part/noun": (
        _PIEZA + " suelta y rota",
        "una " + _PIEZA + " partida",
        "se ve rotura de " + _PIEZA,
    ),
    "electrical/noun": (
        "sin corriente, (fusible|cable) malo",
        "pantalla negra, eléctrico",
        "cable flojo, se ven chispas",
    ),
    "overheating/noun": (
        "calor en el motor, sobrecalentado",
        "motor que se pone muy caliente",
        "sobrecalentamiento otra vez a los {small} min",
    ),
    "wheel/noun": (
        "rueda de delante sin aire",
        "rodillo fuera, rueda rota",
        "lío con la rueda, pinchada",
    ),
}

PATTERNS: dict[str, tuple[str, ...]] = {
    f"maintenance-note/{language}/{group}": patterns
    for language, groups in (("en", _EN), ("de", _DE), ("es", _ES))
    for group, patterns in groups.items()
}
