"""German phrases of dock-event."""

from __future__ import annotations

from .dock_event_shapes_de import SHAPES
from .phrase import Phrases

_LKW = "(LKW|Laster|Sattelzug|Auflieger|Trailer|Anhänger|der LKW|Container|Fahrzeug|Lkw|Zug)"
_KAPUTT = (
    "(kaputt|beschädigt|zerdrückt|eingedrückt|nass|gerissen|aufgerissen|defekt|"
    "zerquetscht|zerbrochen|durchnässt|geplatzt|gequetscht|eingerissen|aufgeplatzt|"
    "verbeult)"
)
_ETIKETT = "(Etikett|Label|Aufkleber|Barcode|Versandetikett|Palettenetikett|Schild|Palettenlabel)"

CORES: dict[str, Phrases] = {
    "arrival": Phrases(
        "dock-event/de/arrival",
        train=(
            _LKW + " (ist |)(angekommen|da|eingetroffen|hier|angedockt) (an|am|bei) {dock}",
            _LKW + " (steht|wartet|parkt) (an|am|vor|bei) {dock}",
            "(Ankunft|Anlieferung|Wareneingang|Eingang|neue Lieferung) (an|am|bei|) {dock}",
            "{dock}: " + _LKW + " (da|angekommen|eingetroffen|steht bereit|ist jetzt da)",
            "{firm} (ist |)(da|angekommen|eingetroffen|hier|auf dem Hof) (an|am|) {dock}",
            (
                "(Lieferung|Ware|Ladung) von {firm} (ist |)(da|angekommen|gekommen|"
                "eingetroffen), {dock}"
            ),
            (
                "(Fahrer|der Fahrer) von {firm} (ist da|hat sich gemeldet|angemeldet|meldet "
                "sich) (an|am|für) {dock}"
            ),
            "an {dock} ist (gerade |jetzt |) " + _LKW + " (angekommen|eingetroffen|rangefahren)",
            _LKW + " (zum Entladen|bereit zum Entladen|kann entladen werden) (an|am) {dock}",
            "(gerade|soeben|jetzt) (angekommen|eingetroffen): {firm} (an|am|) {dock}",
            *SHAPES["arrival"],
        ),
        held_out=(
            "{firm} mit " + _LKW + " an {dock} (angekommen|eingetroffen)",
            "{dock}, Anlieferung von {firm} ist da",
        ),
    ),
    "departure": Phrases(
        "dock-event/de/departure",
        train=(
            _LKW + " (ist |)(abgefahren|weg|losgefahren|raus|fort) (von|vom|aus) {dock}",
            _LKW + " (hat|verlässt|verlassen) {dock} (verlassen|gerade|)",
            "(Abfahrt|Ausgang|Abgang|Warenausgang) (von|vom|an|am|) {dock}",
            "{dock}: " + _LKW + " (weg|abgefahren|raus|ist weg|hat abgelegt|fährt ab)",
            "{firm} (ist |)(abgefahren|weg|raus|losgefahren|vom Hof) (von|vom|,|) {dock}",
            "{dock} (ist |)(frei|leer|wieder frei), " + _LKW + " (ist weg|abgefahren|weg)",
            "(fertig beladen|beladen|verladen|verplombt) und (weg|abgefahren|los), {dock}",
            "(Ladung|Lieferung|Tour) nach {town} (ist |)(raus|weg|abgefahren|unterwegs), {dock}",
            (
                "(Fahrer|der Fahrer|er) (ist |)(weg|losgefahren|abgefahren|vom Hof), {dock} "
                "(frei|leer)"
            ),
            "von {dock} ist (gerade |eben |) " + _LKW + " (abgefahren|losgefahren|weggefahren)",
            *SHAPES["departure"],
        ),
        held_out=(
            "der " + _LKW + " von {firm} hat {dock} verlassen",
            "{dock} leer, Ladung nach {town} ist (abgefahren|raus)",
        ),
    ),
    "damage": Phrases(
        "dock-event/de/damage",
        train=(
            "{cartons} " + _KAPUTT + " auf {pallet}",
            "{pallet} (hat|mit|zeigt) {cartons} " + _KAPUTT,
            "{pallet} (ist |)" + _KAPUTT + "(, {cartons}|)",
            (
                "{pallet} (umgekippt|umgefallen|ist umgefallen|runtergefallen|gekippt|vom "
                "Stapler gefallen|angefahren worden|zusammengebrochen)(, {cartons} "
            )
            + _KAPUTT
            + "|)",
            "(Schaden|Transportschaden|Beschädigung|Bruch) (an|bei|auf|:) {pallet}(, {cartons}|)",
            "(Schaden|Ware beschädigt|Bruch|Transportschaden) (an|am|bei) {dock}(, {cartons}|)",
            "an {dock} (sind|liegen|waren) {cartons} " + _KAPUTT,
            (
                "(Stapler|Staplerfahrer|jemand|ich|Kollege) hat {pallet} (gerammt|umgestoßen|"
                "angefahren|fallen lassen|erwischt)(, {cartons} "
            )
            + _KAPUTT
            + "|)",
            "{dock}: {cartons} " + _KAPUTT,
            "(Folie|Wickelfolie) von {pallet} gerissen, {cartons} (rausgefallen|am Boden) und "
            + _KAPUTT,
            "(nur|ca|etwa|ungefähr|mindestens|rund) {cartons} " + _KAPUTT + "( auf {pallet}|)",
            "(Ware|Kartons|Ladung|Kisten) " + _KAPUTT + " (an|am|bei) {dock}",
            "{cartons} (sind|wurden|ist|) " + _KAPUTT + "( an {dock}|)( worden|)",
            *SHAPES["damage"],
        ),
        held_out=(
            "wir haben {cartons} " + _KAPUTT + " auf {pallet}",
            "(Schaden|Bruch) an {dock}: {pallet}, {cartons} " + _KAPUTT,
            "{pallet} ist umgekippt und {cartons} sind " + _KAPUTT,
        ),
    ),
    "temperature_alarm": Phrases(
        "dock-event/de/temperature_alarm",
        train=(
            (
                "(Temperaturalarm|Kühlalarm|Temperatur Alarm|Temperaturwarnung|Wärmealarm) (an|"
                "am|bei|) {dock}(, {temp}|)"
            ),
            "(Temperaturalarm|Kühlalarm|Alarm Kühlung|Alarm Kühlraum|Alarm im Kühler)( {temp}|)",
            (
                "(Kühlung|Kühlaggregat|Kühlraum|Kühler) (an|am|bei) {dock} (zu warm|ausgefallen|"
                "defekt und zu warm|kühlt nicht|meldet Alarm)(, {temp}|)"
            ),
            (
                "(Temperatur|Temp) (an|am|bei|in) {dock} (zu hoch|steigt|über Grenze|nicht ok|"
                "zu warm)(, {temp}|: {temp}| {temp}|)"
            ),
            (
                "{dock} (zeigt|hat|meldet|ist bei|steht bei) {temp}, (zu warm|Alarm|zu hoch|"
                "über Limit)"
            ),
            (
                "(es sind|wir haben|jetzt|gemessen) {temp} im (Kühlraum|Trailer|Kühler|"
                "Auflieger|TK), (zu warm|Alarm|viel zu warm|zu hoch)"
            ),
            (
                "{pallet} (ist zu warm|zu warm|taut|taut auf|bei {temp}|hat {temp}), "
                "(Temperaturalarm|Alarm|Temperatur zu hoch)"
            ),
            (
                "(Fühler|Sensor|Thermometer|Logger) (an|bei) {dock} (zeigt|meldet|misst) {temp} "
                "(Alarm|zu warm|und steigt|zu hoch)"
            ),
            (
                "(Kühlfahrzeug|Kühltrailer|Reefer|Kühlauflieger) (piept|hat Alarm|im Alarm|zu "
                "warm)(, {temp}|)( an {dock}|)"
            ),
            *SHAPES["temperature_alarm"],
        ),
        held_out=(
            "{dock} Temperaturalarm, Kühlraum (zeigt|hat) {temp}",
            "Alarm: Kühlung an {dock} zu warm(, {temp}|)",
        ),
    ),
    "missing_label": Phrases(
        "dock-event/de/missing_label",
        train=(
            "(kein|fehlendes|fehlt das) " + _ETIKETT + " (an|auf|bei) {pallet}",
            "{pallet} (hat kein|ohne|ist ohne|fehlt das|kam ohne|braucht neues) " + _ETIKETT,
            _ETIKETT + " (fehlt|weg|abgefallen|verloren|nicht da|ist ab) (an|auf|bei|von) {pallet}",
            _ETIKETT
            + (
                " (an|auf|von|der) {pallet} (unlesbar|nicht lesbar|zerrissen|verschmiert|lässt "
                "sich nicht scannen|fehlt)"
            ),
            "(Palette|eine Palette|Pal) ohne " + _ETIKETT + " (an|am|bei) {dock}",
            "{dock}: " + _ETIKETT + " fehlt( an {pallet}|)",
            "{pallet} (nicht etikettiert|unbeschriftet|nicht beschriftet|lässt sich nicht scannen)",
            "(bitte |)(neues|ein neues) " + _ETIKETT + " für {pallet} (drucken|ausdrucken|nötig|)",
            "(kann|können) " + _ETIKETT + " (von|auf) {pallet} nicht (lesen|scannen)",
            *SHAPES["missing_label"],
        ),
        held_out=(
            "{pallet} an {dock} ohne " + _ETIKETT,
            "das " + _ETIKETT + " von {pallet} (fehlt|ist weg)",
        ),
    ),
}

ASKS = Phrases(
    "dock-event/de/ask",
    train=(
        (
            "(bitte |)(jemand|jemanden|den Schichtleiter|QS|die Qualität|den Meister|den "
            "Vorarbeiter) (schicken|rufen|holen|anrufen|vorbeischicken)"
        ),
        (
            "(kann|könnte) (mal |)(jemand|einer|der Schichtleiter|wer) (kommen|schauen|"
            "vorbeikommen|draufschauen|gucken|nachsehen|helfen)( bitte|)(?|)"
        ),
        (
            "(jemand|einer|der Schichtleiter|QS) (soll|muss|müsste|sollte) (mal |bitte |)"
            "(kommen|schauen|draufschauen|vorbeikommen|gucken|nachsehen)"
        ),
        "(bitte |)(mal |)(kommen|anschauen|vorbeikommen|ansehen|nachschauen|schauen)",
        (
            "(brauche|brauchen|wir brauchen) (jemanden|Hilfe|den Schichtleiter|einen "
            "Techniker|QS)( hier| vor Ort|)"
        ),
        "(bitte |)(Rückruf|um Rückruf|anrufen|zurückrufen|mich anrufen|Büro anrufen)",
        *SHAPES["ask"],
    ),
    held_out=("bitte (jemand|einer) (kommen|schauen)", "wir brauchen hier (jemanden|Hilfe)"),
)

ASIDES = Phrases(
    "dock-event/de/aside",
    train=(
        "(um|seit|gegen|ab) {clock}( Uhr|)",
        "(Auftrag|Bestellung|Lieferschein|Referenz|Sendung) {order}",
        "(Fahrer|Kontakt|Gruß|gemeldet von) {name}",
        "(Spedition|von|Firma|Ladung von) {firm}",
        "(nach|aus|Ziel|für) {town}",
        "(es regnet|viel los heute|kalt hier|Schlange bis zur Straße|Funk ist schlecht)",
        "(danke|ok|Gruß|hallo|Moin|Info|guten Morgen|Meldung|servus)",
        "{small} (Paletten|Stellplätze|Lagen|Stopps)( insgesamt| drauf|)",
        "(Plombe|Siegel) {order}",
        "(Kennzeichen|Kz) {plate}",
        "(Fotos|Bilder) (gemacht|folgen|im System)",
        "(schon wieder|wie immer|zum zweiten Mal heute|wie gestern)",
        "(Papiere|CMR) (ok|unterschrieben|beim Fahrer|fehlen)",
        "(Fahrer|er) (wartet|hat es eilig|wartet seit {small} Minuten|spricht kein deutsch)",
        *SHAPES["aside"],
    ),
    held_out=("Auftrag Nr {order}", "Fahrer: {name}, aus {town}", "{small} Paletten, es regnet"),
)

BENIGN = Phrases(
    "dock-event/de/benign",
    train=(
        "(alles gut|alles ok|alles in Ordnung|keine Probleme|passt alles|Ladung in Ordnung)",
        "(keine Schäden|kein Schaden|nichts beschädigt|nichts kaputt)",
        "(Etiketten ok|Labels passen|alles etikettiert|Temperatur ok|Kühlung läuft|Temp passt)",
        *SHAPES["benign"],
    ),
    held_out=("(keine Probleme|alles ok), kein Schaden",),
)

PRELUDES = Phrases(
    "dock-event/de/prelude",
    train=(
        "(LKW|{firm}|Lieferung) (ist |)(da|angekommen)(, aber| und|:|,)",
        "(beim Entladen|beim Abladen|beim Ausladen)( von {firm}|)(:|,|)",
        "(nach der Abfahrt|nachdem der LKW weg war)(:|,|)",
        "(Ladung|Lieferung) von {firm} (geprüft|kontrolliert)(:|,|)",
        *SHAPES["prelude"],
    ),
    held_out=("{firm} ist da, aber", "beim Entladen gesehen:"),
)
