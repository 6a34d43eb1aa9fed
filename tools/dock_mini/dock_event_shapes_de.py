"""More German sentence shapes of dock-event, for training only, by phrase group."""

from __future__ import annotations

_LKW = "(LKW|Laster|Sattelzug|Auflieger|Trailer|der LKW|Container|Transporter|Lastwagen|Sattel)"
_KAPUTT = (
    "(kaputt|beschädigt|zerdrückt|eingedrückt|nass|aufgerissen|defekt|zerquetscht|zerbrochen|"
    "durchnässt|geplatzt|verbeult|zerstört)"
)
_ETIKETT = "(Etikett|Label|Barcode|Versandetikett|Palettenetikett|Schild|Adressetikett|Strichcode)"
_KUEHL = "(Kühlung|Kühlraum|Kühler|Kühlaggregat|Kühlzelle|Kühltrailer|Reefer|TK-Raum)"

SHAPES: dict[str, tuple[str, ...]] = {
    "arrival": (
        "(Ereignis|Status|Meldung)(:| -) (Ankunft|angekommen|Eingang|LKW da)(,| /|;) {dock}",
        "{dock} (ist |jetzt |)(belegt|besetzt), {firm} (ist angekommen|ist da|hat angedockt)",
        "wir haben {firm} (an|am) {dock} (stehen|da|zum Entladen)",
        "(neu da|soeben da|neu auf dem Hof|jetzt da)(:|,) {firm}, {dock}",
        "(bitte entladen:|kann entladen werden:|zum Entladen:) {firm} (an|am) {dock}",
        "{firm} für {dock}(, ist angekommen| ist auf dem Hof|, angemeldet| gerade reingefahren)",
        (
            "(Ware|Lieferung|Ladung) (von|der Firma) {firm} (steht|wartet|liegt) (jetzt |)(an|"
            "am) {dock}"
        ),
        _LKW + " von {firm} (hat angedockt|steht|ist rangefahren|wartet) (an|am|bei) {dock}",
        "(eingetroffen|angekommen) (an|am|bei) {dock}(:|,) " + _LKW + " (von|der Firma) {firm}",
        "der " + _LKW + " aus {town} (ist da|steht|ist angekommen)(,| an|:) {dock}",
        "{dock} - (Ankunft|Eingang|Anlieferung|LKW da)( {firm}|)",
        "(es ist|gerade ist) " + _LKW + " (gekommen|eingetroffen|angekommen), {dock}",
    ),
    "departure": (
        "(Ereignis|Status|Meldung)(:| -) (Abfahrt|abgefahren|Ausgang|LKW weg)(,| /|;) {dock}",
        "{dock} (kann zu|kann geschlossen werden|bitte schließen), " + _LKW + " (ist weg|weg)",
        "{firm} (ist |)(weg|abgefahren|vom Hof)(, {dock} ist frei| und {dock} ist leer|, {dock})",
        "(soeben weg|gerade raus|abgefahren|vom Hof)(:|,) {firm}, {dock}",
        "(wir haben|haben) {firm} (verabschiedet|losgeschickt|rausgelassen)(,| an|:) {dock}",
        _LKW + " nach {town} (hat|ist) {dock} (verlassen|weg|los)",
        "niemand mehr (an|am) {dock}, {firm} (ist |)(weg|abgefahren)",
        "der "
        + _LKW
        + " (an|von) {dock} ist (jetzt |schon |gerade |)(weg|unterwegs|los|abgefahren)",
        "{dock} - (Abfahrt|Ausgang|LKW weg|abgefahren)( {firm}|)",
        "(es ist|gerade ist|eben ist) " + _LKW + " (losgefahren|abgefahren|weggefahren), {dock}",
        "(beladen|Plombe dran|Papiere mit), {firm} (ist |)(raus|los|abgefahren)(,| von|:) {dock}",
    ),
    "damage": (
        "(Ereignis|Status|Meldung)(:| -) (Schaden|Ware kaputt)(,| /|;) {pallet}(, {cartons}|)",
        "(Schaden|beschädigt|kaputt)(:| -) {cartons}(, {pallet}| auf {pallet}|, {dock}|)",
        "{pallet}: {cartons} " + _KAPUTT,
        "{pallet} - {cartons} " + _KAPUTT + "( bei Ankunft| an {dock}|)",
        "auf {pallet} (sind|haben wir|liegen|gibt es) {cartons} " + _KAPUTT,
        (
            "(es gibt|wir sehen|ich sehe) (einen |)Schaden (an|bei|auf) {pallet}(, {cartons}|: "
            "{cartons}|)"
        ),
        "{cartons} (von|aus) {pallet} (sind|wurden|waren) " + _KAPUTT,
        "(der Regen|der Sturz|die Gabel|der Gurt) hat {cartons} (auf|von) {pallet} "
        "(beschädigt|zerstört|zerdrückt|kaputt gemacht)",
        "{pallet} (kam|ist|wurde) " + _KAPUTT + " (an|angekommen|angeliefert)(, {cartons}|)",
        "(Ecke|Seite|untere Lage|obere Lage) von {pallet} " + _KAPUTT + "(, {cartons}|)",
        "(leider|zur Info:|Mist,|schlechte Nachricht:) {cartons} " + _KAPUTT + "( an {dock}|)",
        "(mussten|haben) {cartons} von {pallet} (aussortieren|aussortiert|runternehmen), "
        + _KAPUTT,
        "(Anzahl |)(beschädigt|Bruch)(:| -) {cartons}(, {pallet}|, {dock}|)",
        "{pallet} (ist |)(von der Gabel gerutscht|abgerutscht|umgestürzt|heruntergefallen)"
        "(, {cartons} " + _KAPUTT + "|)",
        "schon {pallet} gesehen? {cartons} " + _KAPUTT,
    ),
    "temperature_alarm": (
        "(Ereignis|Status|Meldung)(:| -) (Temperaturalarm|Kühlalarm)(,| /|;) {dock}(, {temp}|)",
        "{dock} - (Temperaturalarm|Kühlalarm|Temperaturwarnung)(, {temp}|: {temp}|)",
        "an {dock} (ist|wird) " + _KUEHL + " (zu warm|viel zu warm|warm)(, {temp}|, Alarm|)",
        _KUEHL + " (an|bei) {dock} (hat Alarm ausgelöst|schlägt Alarm|gibt Alarm)(, {temp}|)",
        "Alarm(:| -) " + _KUEHL + " (zu warm|warm|kühlt nicht)(, {temp}|, {dock}|)",
        "(gemessen|Messwert|Anzeige|Sensor)(:|) {temp} (an|bei) {dock}, (zu warm|Alarm|zu hoch)",
        "{temp} (an|bei|in) {dock}, (viel zu warm|Alarm ausgelöst|über der Grenze|zu hoch)",
        "warum (hat|zeigt) " + _KUEHL + " {temp}? (zu warm|Alarm piept|das ist zu hoch)",
        "(Temperaturalarm|Alarm der Kühlung) (ging los|ausgelöst|piept)( an {dock}|)(, {temp}|)",
        "(Ware|Ladung) auf {pallet} (wird warm|ist zu warm|taut an)(, {temp}|)",
        "Kühlkette (unterbrochen|gebrochen)( an {dock}|)(, {temp}|: {temp}|)",
        "(steht|zeigt) {temp} (auf|an) der Anzeige, " + _KUEHL + " (zu warm|im Alarm)",
        _KUEHL + " (gestört|im Alarm), Temperatur (steigt|bei {temp}|geht hoch)",
    ),
    "missing_label": (
        "(Ereignis|Status|Meldung)(:| -) (Etikett fehlt|kein Etikett|Label fehlt)(,| /|;) {pallet}",
        "{pallet}: " + _ETIKETT + " (fehlt|weg|nicht da|unlesbar|zerrissen)",
        "{pallet} - (kein|fehlendes|unlesbares) " + _ETIKETT,
        "auf {pallet} (ist kein|klebt kein|finden wir kein|fehlt das) " + _ETIKETT,
        "(wir haben|hier steht|gefunden:) {pallet} ohne " + _ETIKETT,
        "(es steht|wir haben|da ist) eine Palette ohne " + _ETIKETT + " (an|am|bei) {dock}",
        "{pallet} (kann nicht|lässt sich nicht) (gescannt|zugeordnet) werden, "
        + _ETIKETT
        + " fehlt",
        "(der Scanner|das MDE) (liest|erkennt) {pallet} nicht, " + _ETIKETT + " (fehlt|zerrissen)",
        "(abgefallen|verschwunden|runtergefallen) ist das " + _ETIKETT + " (von|auf) {pallet}",
        "(wo ist|wer hat|hat jemand) das " + _ETIKETT + " (von|für) {pallet}( gesehen|)?",
        "{pallet} (bitte neu etikettieren|neu labeln|muss neu etikettiert werden)",
        "(nichts|gar nichts) klebt auf {pallet}, " + _ETIKETT + " (fehlt|verloren|nötig)",
        "{dock}, " + _ETIKETT + " (weg|nicht lesbar|abgerissen)( bei {pallet}|)",
    ),
    "ask": (
        "(Aktion|Bitte|Hinweis)(:| -) (jemanden schicken|kommen|Rückruf|Schichtleiter nötig)",
        "(ein Kollege|jemand|der Schichtleiter|QS|ein Techniker) (wird |)(gebraucht|benötigt|nötig)"
        "( hier| an der Rampe| bitte|)",
        "(ist|gibt es) (da |hier |)(jemand|einer|jemanden|wer), der (kommen|schauen|helfen) kann?",
        "(könntet|könnt|würdet) ihr (bitte |mal |)(kommen|jemanden schicken|anrufen|nachsehen)?",
        "(ich|wir) (hätte gern|möchte|wollen), dass (jemand|der Schichtleiter|QS) (kommt|schaut)",
        "(wir warten|warte|warten) auf (jemanden|den Schichtleiter|QS|den Meister), bitte kommen",
        "(ruft|ruf|rufen Sie) (mich|uns|das Büro) (bitte |)(an|zurück)",
        "(sagt|sag) (dem Schichtleiter|der QS|{name}), (er soll|jemand soll) (bitte |)kommen",
        (
            "(schickt|schick|holt) (mir |uns |bitte |)(jemanden|den Chef|den Schichtleiter|"
            "Hilfe)( her|)"
        ),
        "(das |hier |)(soll|muss) sich (bitte |)(jemand|der Chef|QS|wer) (ansehen|anschauen)",
    ),
    "aside": (
        "(von|Absender|gez.|Melder)(:| -) {name}",
        "(Uhrzeit|Zeit|erfasst)(:| -) {clock}",
        "(gesamt|geladen|Ladung)(:| -) {small} (Paletten|Stopps|Lagen)",
        "({name} und ich|die Frühschicht|die Nachtschicht|mein Kollege) (haben|hat) es notiert",
        "(Kunde|Lieferant|Ware von)(:|) {firm}",
        "(Tour|Strecke|Route)(:|) {town}",
        "(Fotos|Bilder|Papiere|Mail) (schicke ich|kommen|gehen raus)( später| gleich|)",
        (
            "(Fahrer|er) (ist |war |)(freundlich|spät dran|{small} Minuten zu spät|zu früh|neu|"
            "in Pause)"
        ),
        "(keine Ahnung warum|nicht das erste Mal|langer Tag|bald Wochenende|schönes Wetter|windig)",
        "(schönen Tag|Ende|vielen Dank|guten Abend|hallo zusammen|bis später|LG {name}|MfG {name})",
        "(Lieferung|Buchung|Tour) (Nr |Nummer |){order}",
        "(eingetragen|notiert|erfasst) (von {name}|im Buch|im System|um {clock})",
        "(Stapler|Scanner) (ist |)(abgestellt|lädt|frei)( wieder|)",
        "(zweite|dritte|letzte) (Ladung|Tour|Fuhre) (heute|der Schicht)",
        "(der |)nächste (kommt |erwartet |)um {clock}",
        "{goods} (drin|drauf|für {town})",
        "(sorry für die|entschuldigt die) (Tippfehler|Verspätung|kurze Nachricht)",
    ),
    "benign": (
        "(Status|Zustand|Ware|Ladung)(:| -) (ok|gut|einwandfrei|vollständig|in Ordnung)",
        "(diesmal |)(nichts|gar nichts) (beschädigt|kaputt|nass|zerdrückt)",
        "(kein|ohne) (Alarm|Schaden|Problem|Bruch)",
        "(jede|alle) (Palette|Paletten|Kartons) (hat ihr Etikett|etikettiert|heil|trocken)",
        "(Temperatur|Kühlung|Kühlkette) (war |ist |)(in Ordnung|gut|geprüft und ok|im Rahmen)",
        "(geprüft|angesehen|kontrolliert)(, alles gut|, kein Schaden|, ok|: einwandfrei)",
        "alles (wie geplant|vollständig|heil|trocken und heil|glatt gelaufen)",
    ),
    "prelude": (
        _LKW + " (hat angedockt|steht jetzt da|ist eingetroffen)(, aber| und|:|,)",
        "(Sendung|Tour) der Firma {firm} (ist hier|ist entladen)(, aber| und|:|,)",
        "(Türen|Trailer|Container) (aufgemacht|geöffnet)(:|,| und)",
        "(bei der|während der) (Entladung|Zählung|Kontrolle|Annahme)(:|,)",
        "(bevor|während) der LKW (wegfuhr|beladen wurde)(:|,)",
        "der LKW ist (schon |bereits |)weg(, aber|:|,)",
        "Ware von {firm} (ist gekommen|kam)(, aber|:|,)",
    ),
}
