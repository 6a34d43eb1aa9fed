"""Spanish phrases of dock-event."""

from __future__ import annotations

from .dock_event_shapes_es import SHAPES
from .phrase import Phrases

_CAMION = "(camión|el camión|un camión|tráiler|el tráiler|remolque|furgón|contenedor|el vehículo)"
_ROTAS = (
    "(rotas|dañadas|aplastadas|mojadas|golpeadas|abiertas|reventadas|rasgadas|"
    "estropeadas|averiadas|hundidas|deterioradas|chafadas|rota|dañada|mojada)"
)
_ROTO = "(roto|dañado|aplastado|mojado|golpeado|volcado|reventado|deteriorado|averiado)"
_ETIQUETA = "(etiqueta|la etiqueta|código de barras|pegatina|etiqueta de envío|rótulo|label)"

CORES: dict[str, Phrases] = {
    "arrival": Phrases(
        "dock-event/es/arrival",
        train=(
            _CAMION + " (llegó|ha llegado|acaba de llegar|está|ya está|entró) (al|en|en el) {dock}",
            "(llegó|ha llegado|acaba de llegar|entra|ya llegó) " + _CAMION + " (al|en|a) {dock}",
            "(llegada|entrada|descarga|nueva llegada) (en|al|) {dock}",
            "{dock}: " + _CAMION + " (llegó|en posición|acoplado|esperando|ya aquí)",
            "{firm} (llegó|ha llegado|está aquí|ya está|acaba de entrar) (al|en|a) {dock}",
            (
                "(carga|entrega|mercancía|envío) de {firm} (llegó|ha llegado|recibida|está) (en|"
                "al) {dock}"
            ),
            (
                "(conductor|el chofer|chofer|transportista) de {firm} (en|espera en|ya en|llegó "
                "a) {dock}"
            ),
            _CAMION + " (listo para descargar|para descargar|esperando descarga) (en|en el) {dock}",
            "en {dock} (acaba de llegar|tenemos|hay|está) "
            + _CAMION
            + " (de {firm}|para descargar)",
            *SHAPES["arrival"],
        ),
        held_out=(
            _CAMION + " de {firm} ha llegado a {dock}",
            "{dock}, llegada de {firm}",
        ),
    ),
    "departure": Phrases(
        "dock-event/es/departure",
        train=(
            _CAMION + " (salió|ha salido|se fue|se marchó|acaba de salir|partió) (de|del) {dock}",
            "(salió|ha salido|se fue|ya se fue|sale|partió) " + _CAMION + " (de|del) {dock}",
            "(salida|partida|expedición) (de|del|en|) {dock}",
            "{dock}: " + _CAMION + " (salió|fuera|se fue|ya salió|en ruta)",
            "{firm} (salió|ha salido|se fue|ya salió|se marchó) (de|del) {dock}",
            "{dock} (libre|vacío|queda libre|ya libre), " + _CAMION + " (salió|se fue|fuera)",
            "(cargado|precintado|carga completa) y (salió|fuera|en ruta|se fue), {dock}",
            (
                "(carga|envío|viaje) (para|a) {town} (salió|ha salido|en ruta|ya salió) (de|"
                "desde) {dock}"
            ),
            "(conductor|el chofer|chofer|transportista) (se fue|salió|ya salió) (de|desde) {dock}",
            *SHAPES["departure"],
        ),
        held_out=(
            _CAMION + " de {firm} ha salido de {dock}",
            "{dock} libre, carga para {town} salió",
        ),
    ),
    "damage": Phrases(
        "dock-event/es/damage",
        train=(
            "{cartons} " + _ROTAS + " en {pallet}",
            "{pallet} (tiene|con|trae|viene con) {cartons} " + _ROTAS,
            "{pallet} " + _ROTO + "(, {cartons}|, {cartons} " + _ROTAS + "|)",
            "(se cayó|cayó|volcó|se volcó|se rompió|se ha caído) {pallet}(, {cartons} "
            + _ROTAS
            + "|)",
            "{pallet} (se cayó|cayó|volcó|se rompió|se ha volcado)(, {cartons} " + _ROTAS + "|)",
            "(daño|daños|avería|rotura|mercancía dañada) (en|de|:) {pallet}(, {cartons}|)",
            "(daños|rotura|mercancía rota|mercancía dañada) en {dock}(, {cartons}|)",
            "(hay|tenemos|encontramos|vimos|son|contamos) {cartons} " + _ROTAS + "( en {dock}|)",
            (
                "(la carretilla|el toro|alguien|un compañero|el carretillero) (golpeó|tiró|"
                "volcó|pinchó|chocó con) {pallet}(, {cartons} "
            )
            + _ROTAS
            + "|)",
            "{dock}: {cartons} " + _ROTAS,
            "(solo|unas|aprox|casi|al menos|más o menos) {cartons} " + _ROTAS + "( en {pallet}|)",
            "(film|plástico) roto en {pallet}, {cartons} (caídas|en el suelo) y " + _ROTAS,
            *SHAPES["damage"],
        ),
        held_out=(
            "encontramos {cartons} " + _ROTAS + " en {pallet}",
            "daños en {dock}: {pallet}, {cartons} " + _ROTAS,
            "se cayó {pallet} y hay {cartons} " + _ROTAS,
        ),
    ),
    "temperature_alarm": Phrases(
        "dock-event/es/temperature_alarm",
        train=(
            (
                "(alarma|alerta|aviso) (de temperatura|de frío|temperatura|del frigo) (en|al|) "
                "{dock}(, {temp}|)"
            ),
            (
                "(alarma|alerta) (de temperatura|en la cámara|del frigorífico|de la cámara)( "
                "{temp}|: {temp}|)"
            ),
            (
                "(temperatura|temp) (en|de|del) {dock} (alta|muy alta|demasiado alta|fuera de "
                "rango|subiendo)(, {temp}|: {temp}| {temp}|)"
            ),
            (
                "(cámara|frigorífico|camión frigorífico|congelador|nevera) (en|de|del) {dock} "
                "(caliente|no enfría|muy caliente|en alarma|fuera de rango)(, {temp}|)"
            ),
            (
                "{dock} (marca|está a|muestra|indica|lee) {temp}, (alarma|muy alto|demasiado "
                "calor|fuera de rango|debería estar frío)"
            ),
            (
                "(la cámara|el frigo|el termo|el reefer) (está a|marca|indica|muestra) {temp}, "
                "(alarma|demasiado|muy caliente|fuera de rango)"
            ),
            (
                "{pallet} (a {temp}|caliente|descongelando|está a {temp}), (alarma de "
                "temperatura|temperatura alta|alarma)"
            ),
            (
                "(sensor|sonda|termómetro) (en|de|del) {dock} (marca|da|indica) {temp}(, "
                "alarma| y subiendo|, muy alto)"
            ),
            (
                "(sonó|suena|salta|saltó) la alarma (de frío|de temperatura|de la cámara) (en|"
                "del) {dock}(, {temp}|)"
            ),
            *SHAPES["temperature_alarm"],
        ),
        held_out=(
            "{dock} alarma de temperatura, la cámara (marca|está a) {temp}",
            "alerta: temperatura muy alta en {dock}(, {temp}|)",
        ),
    ),
    "missing_label": Phrases(
        "dock-event/es/missing_label",
        train=(
            "(sin|falta|no tiene|no hay) " + _ETIQUETA + " (en|de|del) {pallet}",
            "{pallet} (sin|no tiene|le falta|viene sin|no trae|está sin|llegó sin) " + _ETIQUETA,
            _ETIQUETA
            + (
                " (de|del|en) {pallet} (ilegible|rota|no se lee|borrosa|no escanea|perdida|"
                "mojada y no se lee|falta)"
            ),
            "(palet|un palet|palé) sin " + _ETIQUETA + " en {dock}",
            "{dock}: (falta|sin) " + _ETIQUETA + "( en {pallet}|)",
            "(no se puede|no puedo|no podemos) (leer|escanear) " + _ETIQUETA + " (de|del) {pallet}",
            "(imprimir|hace falta|necesita|necesito) (nueva|otra) " + _ETIQUETA + " para {pallet}",
            "{pallet} (sin etiquetar|no está etiquetado|sin identificar)",
            *SHAPES["missing_label"],
        ),
        held_out=(
            "{pallet} en {dock} sin " + _ETIQUETA,
            "falta " + _ETIQUETA + " en {dock}, {pallet}",
        ),
    ),
}

ASKS = Phrases(
    "dock-event/es/ask",
    train=(
        (
            "(por favor |)(manden|envíen|manda|llamen|llama|avisen) (a alguien|al "
            "supervisor|al jefe|a calidad|un técnico|al encargado)"
        ),
        (
            "(que |)(venga|vengan|pase) (alguien|el supervisor|calidad|el encargado|el jefe)"
            "( a ver| por favor|)"
        ),
        (
            "(puede|podría|puede por favor) (venir|mirar|revisar|pasar) (alguien|el "
            "encargado|calidad)(?|)"
        ),
        (
            "(necesitamos|necesito|hace falta) (a alguien|ayuda|un supervisor|al encargado|"
            "que venga alguien)( aquí|)"
        ),
        "(por favor |)(llámame|llámenme|llamar a la oficina|vengan a ver|venga a mirar|ven a ver)",
        "(alguien|el jefe|calidad) (tiene que|debe|debería) (venir|mirar|revisar|verlo)",
        *SHAPES["ask"],
    ),
    held_out=("por favor que (venga|mire) alguien", "necesitamos al supervisor aquí"),
)

ASIDES = Phrases(
    "dock-event/es/aside",
    train=(
        "(a las|desde las|sobre las) {clock}",
        "(pedido|albarán|referencia|reserva|orden) {order}",
        "(conductor|chofer|contacto|saludos) {name}",
        "(transportista|de|empresa|carga de) {firm}",
        "(para|desde|destino|va a) {town}",
        "(está lloviendo|mucho trabajo hoy|hace frío|hay cola|la radio va mal)",
        "(gracias|ok|hola|buenos días|aviso|nota|saludos|buenas)",
        "{small} (palets|paradas|bultos en total|huecos)",
        "(precinto|sello) {order}",
        "(matrícula|remolque) {plate}",
        "(fotos|imágenes) (hechas|adjuntas|en el sistema)",
        "(otra vez|como siempre|igual que ayer|segunda vez hoy)",
        "(papeles|CMR) (ok|firmados|los tiene el chofer)",
        "(el chofer|el conductor) (espera|tiene prisa|lleva {small} minutos esperando)",
        *SHAPES["aside"],
    ),
    held_out=("pedido nº {order}", "chofer: {name}, va a {town}", "{small} palets, está lloviendo"),
)

BENIGN = Phrases(
    "dock-event/es/benign",
    train=(
        "(todo bien|todo ok|todo correcto|sin problemas|sin novedad|sin incidencias)",
        "(sin daños|nada roto|mercancía bien|no hay daños|carga intacta)",
        "(etiquetas ok|todo etiquetado|temperatura ok|frío bien|temperatura correcta)",
        *SHAPES["benign"],
    ),
    held_out=("(sin problemas|todo ok), sin daños",),
)

PRELUDES = Phrases(
    "dock-event/es/prelude",
    train=(
        "(llegó el camión|llegó {firm}|ha llegado la carga)(, pero| y|:|,)",
        "(al descargar|descargando|durante la descarga)( {firm}|)(:|,|)",
        "(después de salir el camión|cuando salió el camión)(:|,|)",
        "(revisamos|revisada) la carga de {firm}(:|,|)",
        *SHAPES["prelude"],
    ),
    held_out=("llegó {firm}, pero", "al descargar vimos:"),
)
