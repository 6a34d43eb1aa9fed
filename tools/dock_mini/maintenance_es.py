"""Spanish phrases of maintenance-note around the fault: asset, frame, state, hurry, asides."""

from __future__ import annotations

from .maintenance_shapes_es import SHAPES
from .phrase import Phrases

ASSETS: dict[str, tuple[str, ...]] = {
    "forklift": (
        "carretilla",
        "carretilla",
        "carretilla elevadora",
        "montacargas",
        "la carretilla",
        "toro",
        "carretilla contrapesada",
        "el toro",
    ),
    "reach_truck": (
        "retráctil",
        "carretilla retráctil",
        "la retráctil",
        "retráctil",
        "reach truck",
    ),
    "pallet_jack": (
        "transpaleta",
        "transpaleta",
        "traspaleta",
        "transpaleta eléctrica",
        "la transpaleta",
        "gato de palets",
        "transpaleta manual",
    ),
    "conveyor": (
        "cinta",
        "cinta transportadora",
        "transportador",
        "la cinta",
        "banda transportadora",
        "línea de rodillos",
        "banda",
        "transportadora",
    ),
    "dock_leveller": (
        "rampa niveladora",
        "niveladora",
        "rampa del muelle",
        "nivelador",
        "muelle hidráulico",
        "plataforma niveladora",
        "rampa hidráulica",
    ),
    "door": (
        "puerta",
        "puerta",
        "puerta rápida",
        "portón",
        "persiana",
        "la puerta",
        "puerta seccional",
    ),
    "charger": ("cargador", "cargador", "estación de carga", "cargador de baterías", "el cargador"),
    "wrapper": (
        "enfardadora",
        "envolvedora",
        "la enfardadora",
        "máquina de film",
        "retractiladora",
    ),
    "scanner": (
        "escáner",
        "lector",
        "lector de códigos",
        "pistola",
        "el escáner",
        "terminal de mano",
    ),
    "cooler": (
        "cámara fría",
        "cámara",
        "frigorífico",
        "equipo de frío",
        "congelador",
        "nevera",
        "la cámara fría",
        "evaporador",
    ),
}

FRAMES = Phrases(
    "maintenance-note/es/frame",
    train=(
        "{asset} {verb}",
        "{asset} {verb}",
        "{asset}: {noun}",
        "{asset} {noun}",
        "{asset}, {noun}",
        "{noun} en {asset}",
        "{noun}, {asset}",
        "{asset} con {noun}",
        "{asset} tiene {noun}",
        "(problema|avería|defecto|incidencia) (en|con) {asset}: {noun}",
        "en {asset} hay {noun}",
        "(nuestra|esta|este|mi) {asset} {verb}",
        "{asset} - {noun}",
        *SHAPES["frame"],
    ),
    held_out=("(fallo|avería) en {asset}: {noun}", "(aviso|nota): {asset} {verb}"),
)

OUT_OF_SERVICE = Phrases(
    "maintenance-note/es/out_of_service",
    train=(
        "(fuera de servicio|fuera de uso|parada|parado|está parada|está parado|detenida|detenido)",
        (
            "(bloqueada con candado|bloqueada con tarjeta|precintada|con etiqueta roja|con "
            "tarjeta roja)"
        ),
        (
            "(aparcada|aparcado|la dejé aparcada|apartada|apartado|la dejamos en el taller|"
            "en el rincón)"
        ),
        "(no usar|no se puede usar|prohibido usar|no utilizar|que nadie la use|no la usen)",
        "(apagada del todo|desconectada|desconectado|quité la llave|la apagamos)",
        "(totalmente muerta|totalmente muerto|inutilizable|no operativa|no operativo)",
        *SHAPES["out_of_service"],
    ),
    held_out=("(parada|detenida), no utilizar", "la dejé aparcada, fuera de uso"),
)

HURRY: dict[str, Phrases] = {
    "urgent": Phrases(
        "maintenance-note/es/urgent",
        train=(
            "(urgente|muy urgente|es urgente|urge|con urgencia|prioridad 1|prioridad alta)",
            (
                "(cuanto antes|lo antes posible|ya mismo|inmediatamente|de inmediato|ahora "
                "mismo|enseguida)"
            ),
            (
                "(peligro|peligroso|es peligroso|muy peligroso|riesgo de accidente|no es seguro|"
                "inseguro)"
            ),
            "(emergencia|no puede esperar|la necesitamos ya|hoy mismo)",
            *SHAPES["urgent"],
        ),
        held_out=("arreglar de inmediato, urgente", "cuidado, (peligro|es peligroso)"),
    ),
    "low": Phrases(
        "maintenance-note/es/low",
        train=(
            (
                "(sin prisa|no es urgente|no corre prisa|no hay prisa|no urge|prioridad baja|"
                "tranquilos)"
            ),
            "(puede esperar|puede esperar al {day}|eso puede esperar|puede esperar unos días)",
            "(en|para|hasta) (la próxima|el próximo) (revisión|mantenimiento|servicio|inspección)",
            "(cuando haya tiempo|cuando puedan|cuando se pueda|algún día|si hay tiempo)",
            *SHAPES["low"],
        ),
        held_out=("no urge, puede esperar", "cuando haya tiempo, sin prisa"),
    ),
}

ASIDES = Phrases(
    "maintenance-note/es/aside",
    train=(
        "(avisó|visto por|según|saludos) {name}",
        "(desde las|a las) {clock}",
        "(nave|pasillo|zona|área) {small}",
        "(turno de noche|turno de mañana|turno {small})",
        "(gracias|por favor revisar|hola|buenos días|favor mirar|a ver si la miran)",
        "{small} horas de uso",
        "(desde|empezó) (ayer|esta mañana|el {day}|hoy)",
        "(todavía funciona|aún se puede usar|sigue funcionando|aún anda|se puede usar)",
        "({name} ya lo sabe|hablé con {name})",
        "(orden|parte|ticket) {order}",
        "(otra vez|segunda vez este mes|igual que la semana pasada|ayer iba bien|no sé por qué)",
        "(foto|imagen) (adjunta|hecha)",
        *SHAPES["aside"],
    ),
    held_out=("{name} lo vio", "zona {small}, sigue funcionando", "parte nº {order}"),
)

DOING = (
    "subir",
    "bajar",
    "girar",
    "frenar",
    "arrancar",
    "cerrar",
    "abrir",
    "levantar",
    "conducir",
    "cargar",
    "mover",
    "ir marcha atrás",
    "elevar",
)
DAYS = ("lunes", "martes", "miércoles", "jueves", "viernes", "fin de semana")
NUMBER_FORMS = (
    "{n}",
    "{n}",
    "{n}",
    "{n}",
    "nº {d}",
    "número {n}",
    "no. {d}",
    "#{d}",
    "{d}",
    "{d:02}",
    "-{d}",
    "num {d}",
    "(nº {d})",
)
