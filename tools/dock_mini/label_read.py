"""Rows of label-read: fields in a random order, with the confusions of optical reading put in.

In: shipment codes, postcodes, pieces and weights. Out: the text a scanner would give, and the clean
fields.
"""

from __future__ import annotations

import random

from . import labels
from .dock_event import aside_value
from .numbers import written
from .phrase import Phrases, Split, fill, slots
from .pools import draw, draw_number

NAME = "label-read"
CARRIERS = ("DHL", "DPD", "GLS", "UPS", "FEDEX")

# How a scanner misreads a digit, and how it misreads a letter.
_DIGIT_AS = {"0": "OOQDo", "1": "Il|lI", "2": "ZZz", "5": "SSs", "6": "Gb", "8": "BB"}
_LETTER_AS = {"O": "0", "I": "1", "Z": "2", "S": "5", "G": "6", "B": "8"}
_SEPARATORS = ("\n", "\n", " / ", " | ", "  ", " ", " ; ", ", ", " * ", ". ", " - ")

SHIPMENT = Phrases(
    "label-read/shipment",
    train=(
        "(SHIP|SHIPMENT|SHPMT|Shipment|SHIPM)( NO| NR| ID| #|:|.| NO.| no:|) {shipment}",
        "(TRACKING|TRK|Track|TRACK|TRK NO|Tracking no)(:| #| NO| ID|.|) {shipment}",
        "(REF|Ref|REFERENCE|ref no|YOUR REF)(:|.| NO|) {shipment}",
        "(PARCEL|PKG|PACKAGE|CONSIGNMENT|WAYBILL|AWB)( NO| ID|:| NR| NO.|) {shipment}",
        "(SENDUNG|Sendung|SENDUNGSNR|SDG|Sendungsnummer|PAKETNR)(:| NR|.|) {shipment}",
        "(ENVIO|ENVÍO|Nº ENVIO|EXPEDICION|SEGUIMIENTO)(:|) {shipment}",
        "(ID|NO|NR|CODE|#|No.|Nr.|id:|S/N)(:|) {shipment}",
        "{shipment}",
        "{shipment}",
        "<{shipment}>",
        "*{shipment}*",
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
    ),
    held_out=("DEST: {town} {postcode}", "(TO|AN) {firm}, {postcode} {town}", "ZIP NO {postcode}"),
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
        "{pieces} (KOLLI|COLLI|STK|Stück|Pakete|Kartons|BULTOS|bultos|cajas|UDS|packages)",
        "(NO OF PIECES|NUMBER OF PARCELS|TOTAL PCS|NO OF PKGS)(:|) {pieces}",
        "{pieces}PCS",
        "{pieces}pc",
    ),
    held_out=("TOTAL PIECES {pieces}", "(QTY|PCS) = {pieces}", "{pieces} COLLI"),
)
WEIGHT = Phrases(
    "label-read/weight",
    train=(
        (
            "(WT|WEIGHT|Weight|WGT|wt|GROSS|GROSS WEIGHT|G.W.|GW)(:|.|) {weight}( KG| kg|KG|"
            "kg|Kg| KGS)"
        ),
        "{weight}(KG|kg| KG| kg| Kg| KGS| kilo| kilos)",
        "{weight} KG",
        "{weight}KG",
        "(GEWICHT|GEW|Gewicht|Gew.|PESO|Peso)(:|) {weight}( KG|KG| kg|)",
        "(KG|kg|KGS)(:|) {weight}",
        "(weighs|total) {weight} kg",
    ),
    held_out=("WEIGHT = {weight} KG", "GROSS: {weight}kg", "GEW. {weight} kg"),
)
CARRIER = Phrases(
    "label-read/carrier",
    train=(
        "{carrier}",
        "{carrier}",
        "{carrier}",
        (
            "{carrier} (EXPRESS|PAKET|PARCEL|STANDARD|INTL|CLASSIC|GROUND|SAVER|PRIORITY|"
            "FREIGHT|Express|SERVICE|ECONOMY|24H)"
        ),
        "(via|VIA|by|CARRIER|Carrier:|SHIPPED BY|mit|por) {carrier}",
        "{carrier} LABEL",
    ),
    held_out=("CARRIER: {carrier}", "{carrier} PARCEL EXPRESS"),
)
ASIDE = Phrases(
    "label-read/aside",
    train=(
        "(FROM|Sender|ABS|REMITE|Absender)(:|) {firm}",
        "(ATTN|ATTN.|z.Hd.|C/O|Contact)(:|) {name}",
        "{street} {house}",
        "(TEL|Tel.|PHONE)(:|) {phone}",
        "(DATE|Date)(:|) {date}",
        "{date}",
        "(FRAGILE|HANDLE WITH CARE|THIS SIDE UP|KEEP DRY|NICHT STÜRZEN|URGENT|PRIORITY)",
        "(ORDER|PO|INV)(:| NO|) {order}",
        "{firm} (LTD|GMBH|SL|INC|AG)",
        "(ROUTE|HUB|DEPOT|SORT)(:|) {house}",
        "{name}",
        "(SIGNATURE REQUIRED|INSURED|COD|RETURN|SAMPLES|DOCUMENTS)",
    ),
    held_out=("SENDER {firm} AG", "(DATE|TEL) {date}", "HUB {house}, {name}"),
)
_STREETS = (
    "HARBOUR RD",
    "Hauptstr.",
    "MAIN ST",
    "Bahnhofstr",
    "CALLE MAYOR",
    "STATION ROAD",
    "Industriestr.",
    "MILL LANE",
    "DOCK ROAD",
    "Gartenweg",
    "AVDA DEL PUERTO",
    "Ringstr",
    "PARK AVE",
)


def phrase_groups() -> list[Phrases]:
    """Every phrase group of the template, for audits."""
    return [SHIPMENT, POSTCODE, PIECES, WEIGHT, CARRIER, ASIDE]


def row(split: Split, rng: random.Random) -> tuple[str, labels.Answer]:
    """One label as read, and its clean fields."""
    carrier = rng.choice(CARRIERS) if rng.random() < 0.88 else None
    shipment = draw("shipment", split, rng)
    postcode = draw("postcode", split, rng) if rng.random() < 0.9 else None
    pieces = draw_number("pieces", split, rng) if rng.random() < 0.65 else None
    weight_kg = draw_number("weight_kg", split, rng) if rng.random() < 0.72 else None
    p_noise = rng.choice((0.0, 0.2, 0.5, 0.9))
    values = {
        "carrier": _carrier_as_read(carrier, rng) if carrier else "",
        "shipment": _shipment_as_read(shipment, p_noise, rng),
        "postcode": misread(postcode or "", p_noise, rng),
        "pieces": _count_as_read(pieces, p_noise, rng) if pieces else "",
        "weight": _weight_as_read(weight_kg, p_noise, rng) if weight_kg else "",
    }
    text = _layout(values, split, rng)
    return text, labels.label_read(carrier, shipment, postcode, pieces, weight_kg)


def misread(digits: str, p_noise: float, rng: random.Random) -> str:
    """Digits as a scanner may read them; each confusable one with probability `p_noise`."""
    return "".join(
        rng.choice(_DIGIT_AS[digit]) if digit in _DIGIT_AS and rng.random() < p_noise else digit
        for digit in digits
    )


def _layout(values: dict[str, str], split: Split, rng: random.Random) -> str:
    groups = {"carrier": CARRIER, "shipment": SHIPMENT, "postcode": POSTCODE}
    groups |= {"pieces": PIECES, "weight": WEIGHT}
    parts = [groups[name].draw(split, rng) for name, value in values.items() if value]
    parts += [ASIDE.draw(split, rng) for _ in range(rng.choices((0, 1, 2), (5, 4, 2))[0])]
    if rng.random() < 0.65:
        rng.shuffle(parts)
    separator = rng.choice(_SEPARATORS)
    texts = []
    for part in parts:
        text = fill(part, lambda name: values.get(name) or _aside(name, split, rng))
        texts.append(_cased(part, text, rng))
    text = separator.join(texts)
    return text if rng.random() < 0.9 else text.replace(separator, rng.choice(_SEPARATORS), 1)


def _cased(part: str, text: str, rng: random.Random) -> str:
    # The code keeps its case: l for 1 and O for 0 are what is to be read.
    if slots(part) & {"shipment", "postcode", "pieces", "weight"}:
        return text
    return rng.choice((text, text, text.upper(), text.lower()))


def _carrier_as_read(carrier: str, rng: random.Random) -> str:
    spoken = "FedEx" if carrier == "FEDEX" else carrier
    return rng.choice((carrier, carrier, spoken, carrier.lower(), " ".join(carrier), spoken))


def _shipment_as_read(shipment: str, p_noise: float, rng: random.Random) -> str:
    letters = "".join(
        _LETTER_AS[char] if char in _LETTER_AS and rng.random() < p_noise / 2 else char
        for char in shipment[:2]
    )
    digits = misread(shipment[2:], p_noise, rng)
    gap = rng.choice(("", "", " ", " ", "-", " ", "."))
    group = rng.choice((6, 6, 3, 3, 2))
    groups = [digits[at : at + group] for at in range(0, 6, group)]
    return gap.join([letters + rng.choice(("", gap)) + groups[0], *groups[1:]])


def _count_as_read(count: int, p_noise: float, rng: random.Random) -> str:
    word = written(count, "en", rng, p_word=0.08)
    return misread(word, p_noise, rng) if word.isdigit() else word


def _weight_as_read(weight_kg: int, p_noise: float, rng: random.Random) -> str:
    text = misread(str(weight_kg), p_noise, rng)
    decimals = rng.choice((".", ",")) + str(rng.randint(0, 9)) + rng.choice(("", "", "0", "5"))
    return text + (decimals if rng.random() < 0.35 else "")


def _aside(name: str, split: Split, rng: random.Random) -> str:
    if name == "street":
        return rng.choice(_STREETS)
    if name == "house":
        return str(rng.randint(1, 199))
    if name == "phone":
        return f"0{rng.randint(100, 999)} {rng.randint(1000, 999999)}"
    if name == "date":
        return f"{rng.randint(1, 28):02d}.{rng.randint(1, 12):02d}." + rng.choice(
            ("", "26", "2026")
        )
    return aside_value(name, split, rng)
