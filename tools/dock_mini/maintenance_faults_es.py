"""Spanish words for the faults of maintenance-note.

A fault is said as a verb ("leaks oil") or as a noun ("oil leak").
"""

from __future__ import annotations

from .maintenance_shapes_es import SHAPES
from .phrase import Phrases

_ACEITE = "(aceite|aceite hidráulico|líquido|agua|líquido de frenos|refrigerante|ácido|fluido)"
_MUCHO = "(mucho|un poco|bastante|todo el tiempo|otra vez|desde las {clock}|)"
_PIEZA = (
    "(horquilla|mástil|asiento|espejo|manija|labio|bisagra|panel|tapa|muelle|cadena|"
    "carcasa|gatillo|protección|palanca|chapa|uña|timón|brazo)"
)
_ROTO = "(roto|rota|doblado|doblada|partida|suelto|suelta|agrietado|agrietada|torcida|torcido)"

VERBS: dict[str, Phrases] = {
    "leak": Phrases(
        "maintenance-note/es/leak/verb",
        train=(
            "(pierde|está perdiendo|gotea|suelta|tira) " + _ACEITE + " " + _MUCHO,
            "(tiene|con) (una |)(fuga|pérdida|mancha) de " + _ACEITE,
            "(deja|dejó) " + _ACEITE + " (en el suelo|por el suelo|debajo)",
            "(hay|tiene) (un charco|una mancha|gotas) de " + _ACEITE + " (debajo|en el suelo)",
            "(manguera|junta|cilindro|bomba) (pierde|gotea|con fuga)",
            *SHAPES["leak/verb"],
        ),
        held_out=("deja un charco de " + _ACEITE, "la (bomba|manguera) está perdiendo " + _ACEITE),
    ),
    "battery": Phrases(
        "maintenance-note/es/battery/verb",
        train=(
            "(no carga|no carga bien|no se carga|ya no carga|carga mal|no coge carga)",
            (
                "(la |)batería (agotada|muerta|floja|baja|descargada|dura poco|no dura|dura "
                "{small} minutos|se agota|se descarga rápido|mal|vacía)"
            ),
            "(necesita|le hace falta|pide) (una |)batería nueva",
            "se queda sin (batería|carga)( a los {small} minutos| enseguida|)",
            "(no aguanta|no mantiene) la carga",
            *SHAPES["battery/verb"],
        ),
        held_out=("la batería se agota enseguida", "no mantiene (batería|carga), se descarga"),
    ),
    "brakes": Phrases(
        "maintenance-note/es/brakes/verb",
        train=(
            "(no frena|no frena bien|frena mal|frena poco|apenas frena|casi no frena)",
            (
                "(los frenos|el freno|freno|frenos|freno de mano) (mal|flojos|flojo|gastados|no "
                "responde|no responden|fallan|falla|no agarra|suave|suaves|desgastados)"
            ),
            "(necesita|le hacen falta) (frenos|pastillas|frenos nuevos|zapatas)",
            "(sin freno|sin frenos|se quedó sin frenos|no tiene frenos)",
            "(resbala|sigue rodando|no para) al frenar",
            *SHAPES["brakes/verb"],
        ),
        held_out=("el freno de mano no agarra", "frena muy mal, frenos flojos"),
    ),
    "noise": Phrases(
        "maintenance-note/es/noise/verb",
        train=(
            (
                "(hace|con|tiene) (un |)(ruido|sonido) (raro|fuerte|extraño|metálico|feo|"
                "horrible|muy alto)( al {doing}|)"
            ),
            "(hace|mete) (mucho |demasiado |)ruido( al {doing}|)",
            "(chirría|rechina|golpea|vibra y suena|cruje|silba|zumba|traquetea|chilla)( "
            + _MUCHO
            + "| al {doing}|)",
            "(suena|se oye) (mal|raro|fatal|muy fuerte)( al {doing}|)",
            *SHAPES["noise/verb"],
        ),
        held_out=("suena muy raro al {doing}", "hace un ruido extraño al {doing}"),
    ),
    "jam": Phrases(
        "maintenance-note/es/jam/verb",
        train=(
            (
                "(atascada|atascado|está atascada|está atascado|bloqueada|bloqueado|se atasca|"
                "se bloquea|trabada|se quedó trabada)( "
            )
            + _MUCHO
            + "|)",
            (
                "(una caja|un palet|film|cartón|un paquete|una madera) (atascado|atascada|"
                "trabado|enganchado|se atascó|se quedó atascado)( dentro| debajo|)"
            ),
            (
                "no (abre|cierra|baja|sube|se mueve), (atascada|atascado|bloqueada|bloqueado|"
                "algo la bloquea)"
            ),
            "(atasco|bloqueo) (de|por) (cajas|film|cartón|un palet)",
            *SHAPES["jam/verb"],
        ),
        held_out=("se quedó atascada, no (abre|baja|cierra)", "un paquete se quedó trabado dentro"),
    ),
    "broken_part": Phrases(
        "maintenance-note/es/broken_part/verb",
        train=(
            "(con |tiene |)(la |el |)" + _PIEZA + " " + _ROTO,
            (
                "(le falta|falta|perdió) (un tornillo|la tapa|el espejo|un panel|una protección|"
                "un perno)"
            ),
            "se (rompió|dobló|partió|soltó|cayó) (la|el) " + _PIEZA,
            "(la |el |)" + _PIEZA + " (está |)(partido|rajada|rajado|caída|colgando|dañada|dañado)",
            *SHAPES["broken_part/verb"],
        ),
        held_out=("tiene el " + _PIEZA + " dañado", "se soltó la " + _PIEZA),
    ),
    "electrical": Phrases(
        "maintenance-note/es/electrical/verb",
        train=(
            "(no tiene|sin|se quedó sin) (corriente|luz|electricidad|tensión)",
            "(echa|soltó|hace|suelta|echó) chispas( al {doing}|)",
            "(el |)(fusible|diferencial|interruptor) (quemado|fundido|salta|saltó|roto)",
            (
                "(el |)(cable|enchufe|conector) (está |)(pelado|suelto|quemado|roto|derretido|"
                "cortado|dañado)"
            ),
            (
                "(la |)(pantalla|luz|botonera) (está |)(negra|apagada|no enciende|parpadea|"
                "congelada|muerta)"
            ),
            "(no enciende|no arranca|no se enciende|no prende|no responde el panel)",
            "(da|muestra|marca) error {code}",
            "(cortocircuito|tiene un corto|hace corto|huele a cable quemado)",
            *SHAPES["electrical/verb"],
        ),
        held_out=("el enchufe echa chispas", "pantalla apagada, no (enciende|arranca)"),
    ),
    "overheating": Phrases(
        "maintenance-note/es/overheating/verb",
        train=(
            "(se calienta|se sobrecalienta|se calienta demasiado|está muy caliente|se recalienta)( "
            + _MUCHO
            + "|)",
            (
                "(el |)(motor|compresor|bomba) (se calienta|muy caliente|ardiendo|"
                "sobrecalentado|quema)( a los {small} minutos|)"
            ),
            "(no enfría|no enfría bien|ya no enfría|enfría poco|no hace frío)",
            "(aviso de temperatura|temperatura alta|temperatura muy alta|testigo de temperatura)",
            "(echa humo|sale humo del motor|huele a caliente|está a {small} grados por dentro)",
            *SHAPES["overheating/verb"],
        ),
        held_out=("el motor se calienta demasiado al {doing}", "muy caliente, no enfría bien"),
    ),
    "wheel": Phrases(
        "maintenance-note/es/wheel/verb",
        train=(
            (
                "(con |tiene |)(la |una |)(rueda|rueda delantera|rueda trasera|llanta|goma|"
                "rueda de carga) (pinchada|gastada|rota|suelta|floja|partida|desgastada|dañada|"
                "baila)"
            ),
            "(pinchó|ha pinchado|perdió) (una rueda|la rueda delantera|la rueda)",
            "(necesita|le hacen falta) (ruedas|ruedas nuevas|rodillos nuevos|una rueda nueva)",
            "(con |tiene |)(el |un |)(neumático|rodillo) (pinchado|gastado|roto|suelto|reventado)",
            *SHAPES["wheel/verb"],
        ),
        held_out=("rueda trasera (rota|floja)", "tiene un neumático gastado"),
    ),
}

NOUNS: dict[str, Phrases] = {
    "leak": Phrases(
        "maintenance-note/es/leak/noun",
        train=(
            "(fuga|pérdida|charco|goteo|escape) de " + _ACEITE,
            "(aceite|líquido) en el suelo",
            *SHAPES["leak/noun"],
        ),
        held_out=("(goteo|fuga) de " + _ACEITE + " en el suelo",),
    ),
    "battery": Phrases(
        "maintenance-note/es/battery/noun",
        train=(
            (
                "(batería baja|batería muerta|problema de batería|batería agotada|fallo de "
                "carga|sin batería)"
            ),
            *SHAPES["battery/noun"],
        ),
        held_out=("(batería descargada|problema de carga)",),
    ),
    "brakes": Phrases(
        "maintenance-note/es/brakes/noun",
        train=(
            (
                "(frenos gastados|fallo de frenos|problema de frenos|freno flojo|sin frenos|"
                "avería de freno)"
            ),
            *SHAPES["brakes/noun"],
        ),
        held_out=("(frenos flojos|fallo de freno)",),
    ),
    "noise": Phrases(
        "maintenance-note/es/noise/noun",
        train=(
            (
                "(ruido|sonido|chirrido|golpeteo|zumbido) (raro|fuerte|metálico|extraño|)( al "
                "{doing}|)"
            ),
            *SHAPES["noise/noun"],
        ),
        held_out=("(golpeteo|ruido) muy fuerte al {doing}",),
    ),
    "jam": Phrases(
        "maintenance-note/es/jam/noun",
        train=(
            (
                "(atasco|bloqueo|caja atascada|film atascado|atasco de cajas|palet atascado|"
                "cartón trabado)"
            ),
            *SHAPES["jam/noun"],
        ),
        held_out=("(atasco|bloqueo) de film",),
    ),
    "broken_part": Phrases(
        "maintenance-note/es/broken_part/noun",
        train=(
            _PIEZA + " " + _ROTO,
            "(falta|pérdida de) (tornillo|tapa|panel|espejo)",
            *SHAPES["broken_part/noun"],
        ),
        held_out=(_PIEZA + " (dañado|dañada)",),
    ),
    "electrical": Phrases(
        "maintenance-note/es/electrical/noun",
        train=(
            (
                "(fallo eléctrico|cortocircuito|cable suelto|cable roto|fusible quemado|sin "
                "corriente|chispas|problema eléctrico|error {code}|enchufe quemado|pantalla "
                "negra)"
            ),
            *SHAPES["electrical/noun"],
        ),
        held_out=("(cable quemado|chispas), fallo eléctrico",),
    ),
    "overheating": Phrases(
        "maintenance-note/es/overheating/noun",
        train=(
            (
                "(sobrecalentamiento|motor caliente|temperatura alta|fallo de frío|motor "
                "sobrecalentado|humo)"
            ),
            *SHAPES["overheating/noun"],
        ),
        held_out=("(motor muy caliente|sobrecalentamiento del motor)",),
    ),
    "wheel": Phrases(
        "maintenance-note/es/wheel/noun",
        train=(
            (
                "(rueda rota|rueda pinchada|pinchazo|rueda gastada|neumático reventado|rodillo "
                "roto|rueda suelta)"
            ),
            *SHAPES["wheel/noun"],
        ),
        held_out=("(rueda dañada|llanta rota)",),
    ),
}
