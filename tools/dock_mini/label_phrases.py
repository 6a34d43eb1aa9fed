"""Phrases of label-read: how a shipping label writes each of its fields, and what else is on it.

`{word}`, `{tag}` and `{sep}` are made up anew in every row, so that a value must be known by its
form: the keyword before it may be any. A bare number counts as pieces only with a count word.
"""

from __future__ import annotations

from .phrase import Phrases

SHIPMENT = Phrases(
    "label-read/shipment",
    train=(
        "(SHIP|SHIPMENT|SHPMT|Shipment|SHIPM)( NO| NR| ID| #|:|.| NO.| no:|) {shipment}",
        "(TRACKING|TRK|Track|TRACK|TRK NO|Tracking no)(:| #| NO| ID|.|) {shipment}",
        "(REF|Ref|REFERENCE|ref no|YOUR REF)(:|.| NO|) {shipment}",
        "(PARCEL|PKG|PACKAGE|CONSIGNMENT|AWB)( NO| ID|:| NO.|) {shipment}",
        "(SENDUNG|Sendung|SENDUNGSNR|SDG|Sendungsnummer|PAKETNR)(:| NR|.|) {shipment}",
        "(ENVIO|ENVÍO|Nº ENVIO|EXPEDICION|SEGUIMIENTO)(:|) {shipment}",
        "(ID|NO|NR|CODE|#|No.|Nr.|id:|S/N)(:|) {shipment}",
        "{shipment}",
        "{shipment}",
        "{shipment}",
        "<{shipment}>",
        "*{shipment}*",
        "([{shipment}]|'{shipment}'|\"{shipment}\"|#{shipment}#|={shipment}=|_{shipment}_)",
        # Two letters right before two letters: the code is the pair next to six digits.
        "{tag} {shipment}",
        "{tag} {shipment}",
        "{tag}{sep}{shipment}",
        "{tag}{sep}{shipment}",
        "(NR|NO|ID|Nr|No|Id|nr|no|id){sep}{shipment}",
        "(NR|NO|ID|N|Nº|No.|Nr.|ID.|ID-|N°) {shipment}",
        "{word} {tag}{sep}{shipment}",
        "(SHIP|TRK|REF|PKT|SDG|PCL|EXP|COLIS|Fracht|BOOKING|LABEL|DOC) {tag}{sep}{shipment}",
        "({tag}|<{tag}>|[{tag}]|{tag}/{tag}|{tag}.) {shipment}",
        # Any keyword, known or not, before or after.
        "{word} {shipment}",
        "{word}{sep}{shipment}",
        "{word}{sep}{shipment}",
        "{word} {word}{sep}{shipment}",
        "{word}{sep}{shipment} {word}",
        "{shipment} {word}",
        "{shipment} <{word}>",
        "{shipment} = {word}",
        "({word}|{tag}) <{shipment}>",
        "({word}|{tag}) [{shipment}]",
        "(REF|TRK|AWB|CODE|Code|KEY|HAWB|MAWB|CMR|BARCODE|BC|SSCC|LABEL){sep}{shipment}",
        "(CONSGMT|CNMT|CONS|PKT|PCL|SHP|SHPT|SHMT|TRCK|TRACKG|TRNR){sep}{shipment}",
        "(Frachtbrief|FRACHTNR|AUFTRAG|BELEG|LIEFERUNG|Paketschein|VERSAND){sep}{shipment}",
        "(ALBARAN|LOCALIZADOR|GUIA|Guía|NUM ENVIO|N.ENV|BULTO REF){sep}{shipment}",
        "(COLIS|SUIVI|BORDEREAU|SPEDIZIONE|LDV|ZENDING|BARCODE NL|PRZESYLKA){sep}{shipment}",
        "{shipment} (IS YOUR CODE|TRACK ME|<track>|= REF|AWB|SENDUNG|ENVIO)",
        "(scan|SCAN ME|quote|please quote|bitte angeben|our code is|code is) {shipment}",
        "(REF_|TRK#|NO:|ID=|NR.|CODE:|SHP_|AWB#|ref=|#|no_|id/|PKT-){shipment}",
    ),
    held_out=(
        "SHIPMENT REF {shipment}",
        "(TRACK|PARCEL) NR {shipment}",
        "WAYBILL: {shipment}",
        "SENDUNG NO. {shipment}",
    ),
)
POSTCODE = Phrases(
    "label-read/postcode",
    train=(
        "(ZIP|Zip|ZIP CODE|zip)(:|.|) {postcode}( {town}|)",
        "(POSTCODE|Postcode|POSTAL CODE|PC|P.CODE|POST CODE)(:|.|) {postcode}( {town}|)",
        "(PLZ|Plz|plz)(:|.|) {postcode}( {town}|)",
        "(CP|C.P.|COD POSTAL)(:|) {postcode}( {town}|)",
        "{postcode} {town}",
        "{postcode} {town}",
        "{postcode} {town}",
        "{town} {postcode}",
        "(TO|To|SHIP TO|DELIVER TO|DEST|NACH|AN|EMPF|PARA)(:|) {postcode} {town}",
        "(TO|To|SHIP TO|DELIVER TO)(:|) {name}, {street} {house}, {postcode} {town}",
        "{name} {street} {house} {postcode} {town}",
        "{firm} GMBH, {street} {house}, {postcode} {town}",
        "(to|nach|a|para) {town} {postcode}",
        "(D|DE|E|ES|US)-{postcode} {town}",
        "(D|DE|E|ES|US|F|FR|IT|PL|MX)(-| - | |.|/){postcode} {town}",
        "{postcode}",
        "{postcode}",
        "({town}|{word})(, |-|/| - |, D-|: | <|_){postcode}",
        "{postcode}(, |-|/| - |: |_|. ){town}",
        "<{postcode}> {town}",
        "{town} <{postcode}>",
        "([{postcode}]|*{postcode}*|#{postcode}) ({town}|{word}|)",
        "{word}{sep}{postcode} {town}",
        "{word}{sep}{postcode} {town}",
        "{word}{sep}{postcode}",
        "{word} {town}{sep}{postcode}",
        "{postcode} {word}",
        "{word} {postcode} {word}",
        "{tag}{sep}{postcode} {town}",
        "(ORT|CITY|City|STADT|CIUDAD|VILLE|PLACE|Town|POBLACION){sep}{postcode} {town}",
        "(CITY|ORT|CIUDAD|DROP|Town){sep}{town}(,| -|) {postcode}",
        "(PLZ|ZIP|CP|P/C|PCODE|POSTC|ZIPCD|CAP|NPA|CEP|PIN|Postleitzahl){sep}{postcode}",
        "(PLZ|ZIP|CP|PCODE|Zipcode|Código postal|PLZ/ORT|CP/POB){sep}{postcode} {town}",
        "(ZIP|CP|PC){postcode} {town}",
        "(RCVR|CNEE|RECEIVER|Consignee|EMPFAENGER|DESTINATARIO|SHIP2){sep}{postcode} {town}",
        "(RCVR|CNEE|Receiver|CONSIGNEE){sep}{name}, {postcode} {town}",
        "{name} / {street} {house} / {postcode} {town}",
        "{street} {house}, {town}, {postcode}",
        "{word} {street} {house}, {postcode} {word}",
        "(Fa.|c/o|z.H.|Firma|Hr.|Frau|Sr.) {name}, {postcode} {town}",
    ),
    held_out=("DEST: {town} {postcode}", "(TO|AN) {firm}, {postcode} {town}", "ZIP NO {postcode}"),
)
_COUNTS = (
    "PIECES|Pieces|PCE|PCES|Pce|PARCELS|Parcels|PKGS|PKG|CARTONS|CTN|CTNS|BOXES|PACKAGES|KARTONS|"
    "KTN|STK|Stk|STCK|STÜCK|PAKETE|PKT|PKTE|PACKST|Packstücke|BULTOS|Bultos|CAJAS|UDS|UNIDADES|"
    "PIEZAS|PZAS|PAQUETES|COLIS|CARTONES|KOLLI|Kolli|UNITS|pieces|parcels|cartons|boxes|stk|uds"
)
PIECES = Phrases(
    "label-read/pieces",
    train=(
        (
            "(PCS|PIECES|Pieces|pcs|PC|QTY|Qty|PARCELS|PKGS|PKG|CARTONS|CTN|CTNS|BOXES|"
            "PACKAGES)(:|.| |: ){pieces}"
        ),
        (
            "{pieces} (PCS|PIECES|pieces|pcs|PC|PARCELS|parcels|PKGS|pkgs|CARTONS|cartons|"
            "CTN|BOXES|boxes)"
        ),
        "(KOLLI|COLLI|STK|STÜCK|PAKETE|ANZAHL|BULTOS|CAJAS|UDS)(:|) {pieces}",
        "{pieces} (KOLLI|STK|Stück|Pakete|Kartons|BULTOS|bultos|cajas|UDS|packages)",
        "(NO OF PIECES|NUMBER OF PARCELS|TOTAL PCS|NO OF PKGS)(:|) {pieces}",
        "{pieces}PCS",
        "{pieces}pc",
        f"({_COUNTS}){{sep}}{{pieces}}",
        f"({_COUNTS}){{sep}}{{pieces}}",
        f"({_COUNTS}) (<{{pieces}}>|[{{pieces}}]|x{{pieces}}|x {{pieces}}|*{{pieces}}*)",
        f"{{pieces}} ({_COUNTS})",
        f"{{pieces}}(x|x | x | X |-|_|/|. | * )({_COUNTS})",
        f"(<{{pieces}} ({_COUNTS})>|[{{pieces}} ({_COUNTS})])",
        f"{{word}} {{pieces}} ({_COUNTS})",
        f"{{word}}{{sep}}{{pieces}} ({_COUNTS})",
        f"{{pieces}} ({_COUNTS}) {{word}}",
        f"({_COUNTS}) {{word}}{{sep}}{{pieces}}",
        f"{{word}} ({_COUNTS}){{sep}}{{pieces}}",
        f"(NO OF|No. of|NUM|# OF|Anzahl|NUMERO DE|TOT|COUNT) ({_COUNTS}){{sep}}{{pieces}}",
        "(CTN|QTY|KTN|PKT|STK|CTN_|PCE_|PKT#|QTY:|CTN.|PCE-){pieces}",
        "{pieces}(PCE|pce|ctn|CTN|stk|STK|pkt|uds|kolli|PKGS|paq|KTN)",
        "(QTY|Qty|QNTY|QUANTITY|MENGE|CANTIDAD|CANT|ANZ|ANZAHL)(::| - |: |-|/| .. | ){pieces}",
        "(contains|with|mit|con|enth.|inhalt) {pieces} (pieces|parcels|pcs|Pakete|bultos|ctns)",
    ),
    held_out=("TOTAL PIECES {pieces}", "(QTY|PCS) = {pieces}", "{pieces} COLLI"),
)
_KG = "( KG| kg|KG|kg|Kg| Kg| KGS| kgs|kgs|KGM|_kg|-kg|.kg| kg.| /kg)"
WEIGHT = Phrases(
    "label-read/weight",
    train=(
        ("(WT|WEIGHT|Weight|WGT|wt|GROSS WEIGHT|G.W.|GW)(:|.|) {weight}( KG| kg|KG|kg|Kg| KGS)"),
        "{weight}(KG|kg| KG| kg| Kg| KGS| kilo| kilos)",
        "{weight} KG",
        "{weight}KG",
        "(GEWICHT|GEW|Gewicht|PESO|Peso)(:|) {weight}( KG|KG| kg|)",
        "(KG|kg|KGS)(:|) {weight}",
        "(weighs|total) {weight} kg",
        f"{{weight}}{_KG}",
        f"{{word}}{{sep}}{{weight}}{_KG}",
        f"{{word}} {{weight}}{_KG}",
        f"{{weight}}{_KG} {{word}}",
        f"{{tag}}{{sep}}{{weight}}{_KG}",
        f"(<{{weight}}{_KG}>|[{{weight}}{_KG}]|*{{weight}}{_KG}*|~{{weight}}{_KG})",
        f"(WGHT|WGT|WHT|Wt|MASS|MASSE|NET|TARE INCL|ACT WT|CHG WT){{sep}}{{weight}}{_KG}",
        f"(BRUTTO|Brutto|BTO|GEWICHT|PESO|P.BRUTO|Peso bruto|KILOS){{sep}}{{weight}}{_KG}",
        f"(POIDS|GEWICHT NL|WAGA|VIKT|PESO LORDO|LOAD|SCALE|Waage){{sep}}{{weight}}{_KG}",
        f"(WT|GW|G/W|GWT|wgt)(::|=|_|-|/| #| ~ | : | .. ){{weight}}{_KG}",
        "(WT|GW|GWT|wgt|Wt){weight}(KG|kg)",
        "(KG|kg|KGS|Kg|kgs|KILO|KILOS|Kilos){sep}{weight}",
        "(WT|GW|WGT|GEWICHT|PESO|MASSE|POIDS)( <kg>| [kg]|/kg| kg| in kg)(:|=| ) {weight}",
        f"{{weight}}{_KG} (BRUTTO|gross|net|TOTAL|total|WT|PESO|GEW|max)",
    ),
    held_out=("WEIGHT = {weight} KG", "GROSS: {weight}kg", "GEW. {weight} kg"),
)
_SERVICES = (
    "EXPRESS|PAKET|PARCEL|STANDARD|INTL|CLASSIC|GROUND|SAVER|PRIORITY|FREIGHT|Express|SERVICE|"
    "ECONOMY|24H|Next Day|OVERNIGHT|ECO|PLUS|CONNECT|AIR|ROAD|Kurier|Mensajería|DIRECT|PRO"
)
CARRIER = Phrases(
    "label-read/carrier",
    train=(
        "{carrier}",
        "{carrier}",
        "{carrier}",
        f"{{carrier}} ({_SERVICES})",
        "(via|VIA|by|SHIPPED BY|mit|por) {carrier}",
        "{carrier} LABEL",
        "{carrier} {word}",
        "{word} {carrier}",
        "{word}{sep}{carrier}",
        "(<{carrier}>|[{carrier}]|*{carrier}*|-{carrier}-|={carrier}=|#{carrier})",
        f"{{carrier}}(-|_|/|: |. | - )({_SERVICES}|{{word}})",
        "(COURIER|Kurier|SPEDITION|FRACHTF.|TRANSPORTISTA|SVC|SERVICE|Dienst|CARR){sep}{carrier}",
        "({word} {carrier} {word}|{carrier} {tag} {word}|{carrier} <{tag}>)",
    ),
    held_out=("CARRIER: {carrier}", "{carrier} PARCEL EXPRESS"),
)
# A bare number ends in a mark, or it would count with a unit that may follow.
ASIDE = Phrases(
    "label-read/aside",
    train=(
        "(FROM|Sender|ABS|REMITE|Absender)(:|) {firm}",
        "(ATTN|ATTN.|z.Hd.|C/O|Contact)(:|) {name}",
        "{street} {house}(,|;)",
        "(TEL|Tel.|PHONE)(:|) {phone}",
        "(DATED|on|vom|Fecha|Dat.|PRINTED)(:|) {date}",
        "{date}",
        "(FRAGILE|HANDLE WITH CARE|THIS SIDE UP|KEEP DRY|NICHT STÜRZEN|URGENT|PRIORITY)",
        "(ORDER|PO|INV)(:| NO|) {serial}",
        "{firm} (LTD|GMBH|SL|INC|AG)",
        "(ROUTE|HUB|DEPOT|SORT)(:|) {house}(,|;|.)",
        "{name}",
        "(SIGNATURE REQUIRED|INSURED|COD|RETURN|SAMPLES|DOCUMENTS)",
        "{word}",
        "{word}",
        "{word} {word}",
        "{word}{sep}{word}",
        "(<{word}>|[{word}]|*{word}*|#{word}|{word}/{word}|{word}_{word})",
        "{word}{sep}{house}(,|;|.)",
        "{word} {house}(,|;)",
        "; {house} {word}",
        "{word} {house}(cm|%|mm| cm|h|°C| EUR)",
        "({word}|{tag}){sep}{serial}",
        "{tag}{sep}{word}",
        "{tag}{sep}{name}",
        "(INV|CUST|KD|KDNR|DELIVERY|BEST.NR|PEDIDO|ACCT|CLIENTE){sep}{serial}",
        "{house}x{house}x{house}(cm| cm| mm)",
        "(ZONE|GATE|LANE|TOUR|BAY|RAMPE|MUELLE){sep}{house}(,|;|.)",
        "(BOOKED|ETA|PICKUP|Abholung|VENCE){sep}{date}",
        "(VORSICHT GLAS|FRÁGIL|DO NOT BEND|NO STACK|HEAVY|SATURDAY|LIFT|ADR|COOL|DAP|EXW|DDP)",
        "(NO SIGNATURE|NO VALUE|NO RETURN|ID CHECK|ID REQUIRED|NR {word}|NO {word})",
    ),
    held_out=("SENDER {firm} AG", "(DATE|TEL) {date}", "HUB {house}, {name}"),
)
