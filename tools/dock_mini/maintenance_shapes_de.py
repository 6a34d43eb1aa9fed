"""More German sentence shapes of maintenance-note, for training only, by phrase group."""

from __future__ import annotations

_OEL = "(Öl|Hydrauliköl|Flüssigkeit|Wasser|Kühlmittel|Säure|Bremsflüssigkeit|Fett|Getriebeöl)"
_TEIL = (
    "(Gabel|Mast|Sitz|Spiegel|Griff|Scharnier|Abdeckung|Feder|Kette|Deichsel|Gehäuse|Hebel|"
    "Klappe|Halterung|Blech)"
)
_RAD = "(Rad|Reifen|Vorderrad|Hinterrad|Rolle|Lenkrolle|Lastrolle|Antriebsrad|Laufrad)"

SHAPES: dict[str, tuple[str, ...]] = {
    "leak/verb": (
        "da (tropft|läuft|kommt) " + _OEL + " (raus|heraus|unten raus)",
        "es (tropft|leckt|läuft aus)(, vermutlich | wahrscheinlich |: )" + _OEL,
        "(unter ihm|darunter|drunter|auf dem Boden) (ist|steht|liegt) " + _OEL,
        "(macht|hinterlässt|zieht) (eine Pfütze|Flecken|eine Spur|eine Lache) (aus |von |)" + _OEL,
        "(verliert|verlor) (seit gestern |dauernd |wieder |tropfenweise |)" + _OEL,
        "(wir müssen|muss) ständig " + _OEL + " nachfüllen, (undicht|leckt)",
        "(nicht mehr dicht|undichter Schlauch|undichte Stelle|Leitung leckt)",
    ),
    "leak/noun": (
        "(Verlust|Austritt|Spuren|Flecken|Pfütze) von " + _OEL,
        _OEL + " (läuft aus|am Boden|tropft|unter der Maschine)",
        "(undichter|tropfender) (Schlauch|Zylinder|Anschluss)",
        "(undichte|tropfende) (Dichtung|Pumpe|Leitung)",
    ),
    "battery/verb": (
        "muss (ständig|dauernd|jede Stunde|zweimal pro Schicht) (geladen|nachgeladen) werden",
        "(die Batterie|der Akku) (hält nicht mehr|ist am Ende|macht schlapp|wird nicht voll)",
        (
            "(trotz|auch nach) (Laden|voller Ladung|Laden über Nacht) (leer|Batterie leer|Akku "
            "schwach)"
        ),
        "(nach {small} Minuten|mitten in der Schicht) (ist |)(der Akku|die Batterie) (leer|platt)",
        "(Ladevorgang|das Laden) (bricht ab|startet nicht|dauert ewig)",
        "(kein|zu wenig) (Ladestrom|Saft im Akku|Akku)",
        "(nimmt|hält) (den |)(Strom|Ladung) nicht, (Batterie|Akku) (hin|alt|defekt)",
    ),
    "battery/noun": (
        "(leerer|schwacher|toter|defekter) Akku",
        "(leere|tote|defekte|alte) Batterie",
        "(Problem|Ärger) mit (Akku|Batterie|dem Laden)",
        "(lädt nicht|Ladeproblem|Akku hält nicht|Batterie hin|Ladung bricht ab)",
    ),
    "brakes/verb": (
        "(beim Bremsen|wenn man bremst) (passiert nichts|zieht er nach links|rollt er weiter)",
        "(die Bremse|die Handbremse) (ist hin|zieht nicht|packt nicht|lässt nach|tut nichts)",
        "(kommt|kam) (kaum|fast nicht|viel zu spät) zum Stehen(, Bremse schwach|)",
        "(hat |)(kaum|wenig|zu wenig|fast keine) Bremswirkung",
        "(Bremspedal|Pedal der Bremse) (geht durch|zu weich|lose|ohne Druck)",
        "(bremst|hält) (nur noch |)(schwach|mit Mühe|auf einer Seite)(, Bremse|)",
    ),
    "brakes/noun": (
        "(abgenutzte|verschlissene|defekte|weiche) (Bremsen|Bremsbeläge)",
        "(Problem|Ärger) mit der (Bremse|Handbremse)",
        (
            "(keine Bremswirkung|Bremse ohne Wirkung|Bremse greift nicht|Bremsen hin|"
            "Bremsbeläge runter)"
        ),
    ),
    "noise/verb": (
        "(man hört|wir hören|ich höre) (ein |)(Klopfen|Quietschen|Schleifen|Brummen|Pfeifen)"
        "( beim {doing}|)",
        (
            "(beim {doing}|im Betrieb|seit gestern) (quietscht|rattert|knallt|brummt) es( "
            "stark| laut|)"
        ),
        "da (quietscht|klappert|schleift|scheppert|knackt) (was|etwas)( beim {doing}|)",
        "(was ist das für ein|woher kommt das) (Geräusch|Quietschen|Klopfen)( beim {doing}|)?",
        "(viel |)(lauter|zu laut) (als sonst|als früher)( beim {doing}|)",
        "(klingt|hört sich an) wie (eine Kaffeemühle|Metall auf Metall|ein trockenes Lager)",
    ),
    "noise/noun": (
        "(Quietschen|Klappern|Brummen), (recht|ziemlich|ganz schön) laut( beim {doing}|)",
        "(Geräusche|Lärm|Krach|Brummen|Knacken|Scheppern)( beim {doing}|)",
        "(ungewöhnlich|viel zu) laut",
    ),
    "jam/verb": (
        "da (steckt|klemmt|hängt) (ein Karton|Folie|ein Paket|ein Stück Holz|was) (drin|fest)",
        "(bekommen|kriegen|bekomme) (den Karton|die Folie|die Palette) nicht raus, (klemmt|fest)",
        "(bewegt|rührt) sich nicht(, verklemmt|, ist blockiert|, etwas klemmt)",
        "(bleibt|blieb) (immer wieder |ständig |halb offen |auf halber Höhe |)(hängen|stecken)",
        (
            "(ist |)(durch |von |mit )(Folie|Pappe|Kartons|einem Brett) (blockiert|verstopft|"
            "verklemmt)"
        ),
        "(alles|wieder) (verstopft|verklemmt|blockiert|zugesetzt)",
    ),
    "jam/noun": (
        "(Karton|Folie|Paket|Palette|Brett) (klemmt|steckt fest|eingeklemmt|verkeilt)",
        "(blockiert|verstopft|verklemmt|festgefahren)",
        "(Stau|Blockade) (durch|von|wegen) (Karton|Folie|Paketen)",
    ),
    "broken_part/verb": (
        "(am|an der) " + _TEIL + " ist (was|etwas) (gebrochen|abgebrochen|gerissen|verbogen)",
        "(jemand hat|der LKW hat|wir haben) " + _TEIL + " (verbogen|abgerissen|abgebrochen)",
        "(es fehlt|da fehlt|ihm fehlt) (die |der |das |eine Schraube an |)" + _TEIL,
        "(hat|mit) (einem |einen |)(Riss|Bruch) (an|in) " + _TEIL,
        "(braucht|benötigt) (neue|neuen|einen neuen|eine neue) " + _TEIL + "(, alt gebrochen|)",
        _TEIL + " (hängt runter|ist durchgebrochen|hat einen Riss|wackelt und ist lose|ist ab)",
    ),
    "broken_part/noun": (
        "(Riss|Bruch) (an|in|am) " + _TEIL,
        _TEIL + " (kaputt|lose|gerissen|krumm|abgerissen)",
        "(fehlende|abgebrochene|verlorene) (Schraube|Bolzen|Teile)",
    ),
    "electrical/verb": (
        "(bekommt|kriegt|führt) keinen (Strom|Saft)( mehr|)",
        "(es|da) (funkt|sprühen Funken|riecht nach Kabelbrand)( am Stecker| im Schaltschrank|)",
        "(wirft|haut) (die Sicherung|den FI) raus",
        "(das Display|die Anzeige|der Bildschirm) (bleibt|ist) (schwarz|dunkel|leer|tot)",
        "(auf dem Display|in der Anzeige) steht Fehler(code|) {code}",
        "(Wackelkontakt|Kontakt lose|Kabelbruch) (am|im) (Stecker|Kabel|Schalter|Bedienteil)",
        "(der Schalter|die Taste|der Startknopf) (tut nichts|ist verschmort|ohne Funktion)",
        "(ich habe|man bekommt) (eine gewischt|einen Stromschlag|einen Schlag) (bekommen|)",
        "(springt nicht an|lässt sich nicht starten|bootet nicht|reagiert auf keine Taste)",
    ),
    "electrical/noun": (
        "(Fehlercode|Fehlermeldung|Störcode) {code}",
        (
            "(Funken|loses Kabel|verschmorter Stecker|Display schwarz|Display tot|FI fliegt|"
            "Kabelbrand)"
        ),
        "(Problem|Fehler) (mit der|in der) (Elektrik|Elektronik|Verkabelung|Stromversorgung)",
    ),
    "overheating/verb": (
        (
            "(wird|ist) (viel |extrem |schnell |richtig |)(zu |)heiß( nach {small} Minuten| im "
            "Betrieb|)"
        ),
        "(man kann|kann) (den Motor|das Gehäuse|die Pumpe) nicht anfassen, (so|zu) heiß",
        "(es|da) (raucht|kommt Rauch|steigt Dampf) (aus dem Motor|aus der Haube|auf)",
        "(zeigt|hat|meldet) (eine |)(Temperaturwarnung|Übertemperatur|Überhitzung)",
        "die Temperatur (steigt|geht hoch|ist zu hoch|klettert)( ständig| immer weiter|)",
        "(innen|drinnen) (zu warm|viel zu warm|wird es warm), (kühlt kaum|keine Kühlung)",
        "(kühlt|kühlt nur noch) (kaum|schwach|fast gar nicht|viel zu wenig)",
    ),
    "overheating/noun": (
        "(Motor|Pumpe|Kompressor) (zu heiß|heißgelaufen|überhitzt|raucht)",
        "(keine Kühlung|Kühlung schwach|Rauch aus dem Motor|Hitzestau|Temperatur zu hoch)",
        "(zu heiß|viel zu heiß|heißgelaufen)",
    ),
    "wheel/verb": (
        "(am|an dem|beim) " + _RAD + " (ist ein Stück raus|fehlt ein Stück|ist Profil weg)",
        "(das|die|der) "
        + _RAD
        + " (wackelt|eiert|ist runter|ist hinüber|löst sich|hat einen Riss)",
        "(eins|eines) der (Räder|Rollen|Reifen) ist (platt|lose|hin|gebrochen)",
        "(hat|fährt mit) (einen |einem |)(Platten|Nagel im Reifen|Plattfuß|Loch im Reifen)",
        "(rollt|läuft|fährt) (unrund|holprig|schief), " + _RAD + " (kaputt|abgefahren|platt)",
        "(keine Luft|zu wenig Luft) (im|in dem) (Reifen|Vorderreifen)",
    ),
    "wheel/noun": (
        "(wackelnde|eiernde|gebrochene|rissige) (Rolle|Lenkrolle|Laufrolle)",
        "(Platten|Reifenpanne|Reifen ohne Luft|Nagel im Reifen)( vorne links| hinten rechts|)",
        "(Problem|Schaden) (am|mit dem) " + _RAD,
    ),
    "urgent": (
        "(Status|Priorität|Prio|Hinweis|Stufe)(:| -|) (dringend|hoch|sehr hoch|sofort|eilt)",
        "(wir|ich) (brauchen|brauche|benötigen) (das|ihn|die|das Gerät) (sofort|umgehend|dringend)"
        "( zurück| wieder|)",
        (
            "(könnt ihr|kann man|geht) das (bitte |)(sofort|gleich|umgehend|heute noch) "
            "(machen|richten)?"
        ),
        "(bitte |)(als |)(dringend|eilig) (behandeln|einstufen|vormerken)",
        "(das|es) (ist|wird|wirkt) (wirklich |sehr |echt |)(gefährlich|dringend|eilig|unsicher)",
        "(muss|müsste) (sofort|umgehend|unverzüglich|schnellstens|heute noch) (repariert|gemacht) "
        "werden",
        "(Gefahr|Risiko|Lebensgefahr) für (die Leute|Mitarbeiter|Fahrer|alle)",
        "(bitte |)(zuerst|als Erstes|vor allem anderen) (machen|reparieren)",
        "(darf|kann|soll) (nicht|auf keinen Fall) (liegen bleiben|warten)",
        "da (verletzt sich (sonst |noch |bald |)jemand|tut sich (sonst |noch |bald |)einer weh)",
        (
            "(keine Zeit verlieren|schnellstens|so bald wie möglich|ohne Verzug|ganz dringend|"
            "höchste Prio)"
        ),
    ),
    "low": (
        "(Status|Priorität|Prio|Hinweis|Stufe)(:| -|) (niedrig|nicht dringend|gering|kann warten)",
        "(es|das) (ist|wäre) (nicht so eilig|nichts Dringendes|kein Notfall|nicht wichtig)",
        "(lasst|nehmt) euch (ruhig |)Zeit( damit|)",
        "(muss|braucht) nicht (heute|sofort|gleich|diese Woche) (sein|gemacht werden)",
        "(ihr könnt|könnt ihr) das (machen|reparieren|mitmachen), wenn (es passt|mal Luft ist)",
        "(reicht|genügt) (auch |)(bei der|zur|mit der) nächsten (Wartung|Prüfung|Inspektion)",
        "(auf die Liste|vormerken|aufschreiben) für (die |)nächste (Wartung|Inspektion)",
        "(das |)(kann|darf) (ruhig |gern |ein paar Tage |)(warten|liegen bleiben)",
        (
            "(drängt nicht|pressiert nicht|hat keine Priorität|ohne Eile|keine Hektik|wenn mal "
            "Luft ist)"
        ),
    ),
    "frame": (
        "{asset} - {verb}",
        "{asset}, {verb}",
        "{asset}: {verb}",
        "{noun}: {asset}",
        "{noun} - {asset}",
        "{asset} <{noun}>",
        (
            "(Gerät|Maschine|Anlage|Objekt)(:| =|) {asset}(,| -| /|;) (Fehler|Mangel|"
            "Schaden)(:|) {noun}"
        ),
        "(Was|Fehler|Mangel): {noun}(,| /|;|) (Wo|Gerät|Maschine)(:|) {asset}",
        "(ist es normal, dass|wisst ihr, dass|gesehen, dass) {asset} {verb}?",
        "(gerade gesehen:|sieht so aus, als ob|ich glaube,|anscheinend:|scheinbar) {asset} {verb}",
        "{name} (sagt|meldet|meint)(,|:) {asset} {verb}",
        "(heute|heute früh|seit gestern|während der Schicht|beim Rundgang)(:|) {asset} {verb}",
        "(bitte |könnt ihr |)(mal |)(nach|auf) {asset} (schauen|sehen)(,|:) {verb}",
        "(bitte |könnt ihr |){asset} (reparieren|prüfen|ansehen)(:|,) {noun}",
        "{noun} (gemeldet|festgestellt|wieder) (für|bei|an) {asset}",
        "(es geht um|betrifft|es ist|Betreff) {asset}(:|,) {verb}",
        "(wieder|noch) (ein Fall|mal) {noun}, (diesmal |){asset}",
        "(Hallo|Moin|Servus)(,| zusammen,| Team,) {asset} {verb}",
        "wir haben {noun} (an|bei|mit) {asset}",
        "{asset} zeigt {noun}",
    ),
    "out_of_service": (
        "(Status|Zustand|Hinweis)(:| -|) (außer Betrieb|steht|gesperrt|abgestellt|Stillstand|aus)",
        "(wir haben|ich habe) (ihn|sie|es|das Gerät) (gesperrt|abgestellt|stillgelegt|geparkt|"
        "aus dem Verkehr gezogen|abgeschlossen)",
        "(wurde|ist|wird) (abgestellt|stillgelegt|gesperrt|weggesperrt|abgeschlossen|abgeschaltet)",
        (
            "(bleibt|ist) (gesperrt|stehen|abgestellt|aus)( bis ihr kommt| bis zur Reparatur| "
            "vorerst|)"
        ),
        (
            "(Schild|Sperrschild|Absperrband|rote Karte|Schloss) (hängt |)dran, (nicht "
            "benutzen|gesperrt)"
        ),
        "(keiner|niemand) (darf|soll) (ihn |sie |es |damit |)(benutzen|fahren|anfassen|starten)",
        "(läuft|fährt|geht) (gar nicht|überhaupt nicht) mehr",
        "(wird nicht mehr|nicht länger) (benutzt|eingesetzt|gefahren)",
        "(steht) (nur noch rum|ungenutzt da|unbenutzt in der Werkstatt|abgesperrt in der Halle)",
        (
            "(aus dem Verkehr gezogen|unbenutzbar|unbrauchbar|komplett aus|ganz ausgefallen|"
            "lahmgelegt)"
        ),
    ),
    "aside": (
        "(Info|Notiz|von|Absender)(:| -) {name}",
        "(Ort|Standort|wo)(:|) (Halle|Gang|Zone) {small}",
        "(letzte|vorige) (Wartung|Reparatur|Inspektion) (war |)(im |)(März|Mai|Frühjahr|Vorjahr)",
        "(bitte |)(bestätigen|Bescheid geben|um Antwort|kurze Rückmeldung)( per Mail|)",
        "(wer hat Dienst|wann seid ihr da|wer ist zuständig|wer kommt)?",
        "(Fahrer|Bediener|Nutzer)(:| war| ist) {name}",
        "({name} und ich|die Nachtschicht|der Neue|wir alle) (haben|hat) es (bemerkt|gehört)",
        "(tritt |)(nur |meist |)(morgens|bei Kälte|bei schwerer Last|beim {doing}) auf",
        "(wir sind|ich bin) (im Büro|vor Ort|an der Rampe) (bis|ab) {clock}",
        (
            "(tut noch seinen Dienst|geht sonst noch gut|arbeitet noch|noch fahrbar|ist noch "
            "im Einsatz)"
        ),
        "(wir |)(können|kann) (ihn|sie|es|man) noch (nutzen|benutzen)",
        "(neu|ersetzt|angeschafft) (im Mai|letztes Jahr|im Herbst)",
        "(Referenz|Seriennummer|Inventarnummer) {order}",
        "(eingetragen|notiert|im Buch vermerkt) (um {clock}|von {name}|heute)",
        (
            "(nicht das erste Mal|das hatten wir noch nie|war immer gut|dieselbe Geschichte|"
            "kein Wunder)"
        ),
        "(schönen Tag|guten Morgen|guten Abend|vielen Dank|Danke euch|LG {name}|MfG {name})",
        "(beladen|leer|mit {small} Paletten) (zu dem Zeitpunkt|als es passierte)",
        "{name} (kann es zeigen|erklärt es euch)",
    ),
}
