"""More Spanish sentence shapes of maintenance-note, for training only, by phrase group."""

from __future__ import annotations

_ACEITE = "(aceite|aceite hidráulico|líquido|agua|líquido de frenos|refrigerante|grasa|ácido)"
_PIEZA = (
    "(horquilla|mástil|asiento|espejo|manija|bisagra|panel|tapa|muelle|cadena|carcasa|palanca|"
    "soporte|chapa|pestillo)"
)
_ROTO = "(roto|rota|doblado|doblada|partido|partida|suelto|suelta|agrietado|agrietada)"
_RUEDA = "(rueda|rueda delantera|rueda trasera|llanta|goma|rueda motriz|rueda de apoyo)"

SHAPES: dict[str, tuple[str, ...]] = {
    "leak/verb": (
        "(le |se le |)(sale|cae|escapa) " + _ACEITE + "( por debajo| por un lado| sin parar|)",
        "(debajo|en el suelo) (hay|se ve|quedó) " + _ACEITE,
        "(va dejando|va perdiendo|va soltando) " + _ACEITE + " (por donde pasa|por el pasillo)",
        "(hay que|tenemos que) rellenar " + _ACEITE + " cada (día|turno), (pierde|hay fuga)",
        "(manchado|mojado|lleno) de " + _ACEITE + "(, parece una fuga|, tiene fuga|)",
        "(manguera|junta|válvula|tubería) (con pérdida|mal sellada y gotea|que gotea)",
    ),
    "leak/noun": (
        _ACEITE + " (por el suelo|goteando|debajo de la máquina)",
        "(mancha|gotas|derrame|rastro) de " + _ACEITE,
        "(manguera|junta|bomba|válvula) (que gotea|con fuga|que pierde)",
        "(fuga|pérdida|goteo)( pequeña| grande| fuerte|)",
    ),
    "battery/verb": (
        "(hay que|toca) (cargarla|cargarlo|recargar) (cada hora|a cada rato|dos veces por turno)",
        "(después de|incluso tras) (cargar toda la noche|una carga completa), batería (baja|vacía)",
        "(la carga|el cargador) (se corta|se interrumpe) y la batería (no llena|queda baja)",
        "la batería (ya no aguanta|no llega al final del turno|está en las últimas|no retiene)",
        "(a media mañana|a los {small} minutos) (ya está sin batería|se queda sin carga)",
        "(pierde|gasta) la (carga|batería) (muy rápido|en nada|en una hora)",
    ),
    "battery/noun": (
        "(batería|acumulador) (vacía|floja|que no carga|que no dura|descargada siempre)",
        "(problema|fallo) (con|en) la (batería|carga)",
        "(no carga|carga débil|mala carga|poca batería)",
    ),
    "brakes/verb": (
        "(al frenar|cuando frenas) (no pasa nada|sigue rodando|se va a un lado)",
        "(pisas|aprietas) el freno y (no para|sigue|nada)",
        "(tarda|le cuesta) (mucho |demasiado |)(en |)(frenar|parar al frenar)",
        "(los frenos|las pastillas|las zapatas) (están |)(acabadas|gastados|en mal estado|flojos)",
        "(poca|nada de|casi sin) (fuerza de |)frenada",
        "el pedal (de freno|del freno) (se hunde|está blando|va hasta el fondo)",
    ),
    "brakes/noun": (
        "(frenos|freno) (mal|sin fuerza|que no agarra|que falla|desgastado|blando)",
        "(problema|fallo|avería) (con|en) (el freno|los frenos)",
        "(pastillas|zapatas) (gastadas|acabadas)",
    ),
    "noise/verb": (
        "(se oye|oímos|escucho|se escucha) un (golpe|chirrido|zumbido|ruido|silbido)( al {doing}|)",
        "al {doing} (chirría|suena raro|mete ruido|hace un ruido|cruje)",
        "(qué es|de dónde sale) ese (ruido|chirrido|golpeteo)( al {doing}|)?",
        "(mucho más|demasiado|muy) (ruidosa|ruidoso)( al {doing}| que antes|)",
        "suena como (una cafetera|metal con metal|un molinillo|piedras)( al {doing}|)",
        "(algo|una pieza) (suena|chirría|golpea|vibra) (por dentro|al {doing})",
    ),
    "noise/noun": (
        "(ruidos|sonidos|chirridos|golpes) (raros|fuertes|metálicos)( al {doing}|)",
        "(mucho|demasiado) ruido( al {doing}|)",
        "(silbido|crujido|traqueteo|golpeteo)( al {doing}|)",
    ),
    "jam/verb": (
        (
            "(hay|tiene) (una caja|un palet|film|un cartón|algo) (metido|atascado|enganchado)( "
            "dentro|)"
        ),
        "no (podemos|puedo|se puede) sacar (la caja|el film|el palet), (atascado|atascada)",
        "(se queda|quedó|queda) (a medias|atascada|bloqueado|trabado)( otra vez| arriba| abajo|)",
        "(se traba|se engancha|se atranca) (cada {small} minutos|siempre|otra vez|a mitad)",
        "(algo|una caja|un tablón|el film) (la|lo) (bloquea|atasca|traba)",
        "(atrancada|atrancado|obstruida|obstruido) (por|con) (cajas|film|un cartón|plástico)",
    ),
    "jam/noun": (
        "(caja|palet|film|paquete|tabla) (atascado|trabado|enganchado|atravesado)( dentro|)",
        "(atasco|bloqueo|obstrucción)( otra vez| de nuevo| por cajas|)",
        "(atascada|bloqueada|atrancado)",
    ),
    "broken_part/verb": (
        "(alguien|un camión) (dobló|rompió|arrancó|partió) (la|el) " + _PIEZA,
        "(hay|tiene) (una grieta|un golpe|una raja|una abolladura) en (la|el) " + _PIEZA,
        "(la|el) " + _PIEZA + " (se salió|se descolgó|se partió en dos|se desprendió|ya no está)",
        "(necesita|hay que cambiar) (la|el|una|un) " + _PIEZA + ", (está |)" + _ROTO,
        "(sin|le arrancaron) (la|el) " + _PIEZA + "(, se rompió|, se cayó)",
        "(cuelga|baila) (la|el) " + _PIEZA,
    ),
    "broken_part/noun": (
        "(grieta|golpe|rotura) en (la|el) " + _PIEZA,
        "(pieza|parte) (rota|suelta|doblada|perdida)",
        "(tornillo|perno) (perdido|roto|suelto)",
    ),
    "electrical/verb": (
        "(no le llega|no recibe|no hay) (corriente|electricidad|tensión)",
        "(salen|saltan|vimos) chispas (del enchufe|del cuadro|del cable)",
        "(hace saltar|salta siempre) (el diferencial|el fusible|el automático)",
        "(no se ve nada|nada) en (la pantalla|el display|el panel)",
        "(en la pantalla|en el panel) (sale|pone|aparece) error {code}",
        "(mal contacto|falso contacto|contacto flojo) (en|del) (enchufe|cable|interruptor)",
        "(el botón|el interruptor|la tecla) (no hace nada|está quemado|no responde)",
        "(da|me dio) (calambre|una descarga|corriente)",
    ),
    "electrical/noun": (
        "(código|código de error|fallo) {code}",
        "(mal contacto|cable pelado|enchufe suelto|pantalla apagada|falta de corriente|fusible)",
        "(problema|avería|fallo) (en el|con el) (sistema eléctrico|cableado|cuadro eléctrico)",
    ),
    "overheating/verb": (
        "(se pone|coge|alcanza) (muy |demasiado |)(caliente|temperatura)( a los {small} minutos|)",
        "no se puede tocar (el motor|la bomba|la carcasa), (quema|ardiendo)",
        "(hay|sale) (humo|vapor) (del motor|de la bomba|del capó)",
        "(sube|sigue subiendo|no baja) la temperatura( por dentro| todo el rato|)",
        "(enfría|refrigera) (muy poco|mal|cada vez menos|casi nada)",
        "(tiene|da|salió) (aviso|alarma) (de calor|por temperatura|de sobrecalentamiento)",
    ),
    "overheating/noun": (
        "(motor|bomba|compresor) (ardiendo|recalentado|demasiado caliente|que echa humo)",
        "(exceso de temperatura|demasiado calor|calentamiento|no enfría|poco frío)",
        "(humo del motor|aviso de calor|temperatura muy alta)",
    ),
    "wheel/verb": (
        "(la|una) " + _RUEDA + " (baila|se sale|está lisa|se va a salir|ya no tiene goma|cojea)",
        "(hay|tiene) (un clavo|un corte|un agujero) en la (rueda|goma|llanta)",
        "(una de las|dos) (ruedas|gomas|llantas) (pinchada|rota|gastadas|floja)",
        "(rueda|anda|va) (a saltos|cojeando|torcida), " + _RUEDA + " (gastada|rota|pinchada)",
        "(le falta|perdió) un trozo de (rueda|goma|llanta)",
        "(sin aire|poco aire) en la " + _RUEDA,
    ),
    "wheel/noun": (
        _RUEDA + " (floja|lisa|partida|sin aire|desgastada)",
        "(pinchazo|reventón)( delante| detrás| a la izquierda|)",
        "(problema|fallo) (con|en) la " + _RUEDA,
    ),
    "urgent": (
        "(estado|prioridad|nota|nivel)(:| -|) (urgente|alta|muy alta|máxima|inmediata)",
        "(lo|la) (necesitamos|necesito) (arreglada |arreglado |de vuelta |)(ya|ahora|cuanto antes)",
        "(pueden|podrían|se puede) (arreglarlo|venir|repararla) (ya|ahora mismo|de inmediato)?",
        "(por favor |)(tratar|marcar|atender) (como|con carácter) urgente",
        "(esto|eso) (es|parece) (muy |realmente |)(peligroso|urgente|inseguro)",
        "(hay que|tienen que|se debe) (arreglarlo|repararla|hacerlo) (ya|hoy mismo|cuanto antes|"
        "inmediatamente|sin demora)",
        "(peligro|riesgo) para (la gente|los compañeros|todos|el operario)",
        "(no (podemos|se puede) esperar|no admite espera|sin perder tiempo|sin demora|a la mayor "
        "brevedad)",
        "(alguien|un compañero) (puede|podría|va a) (hacerse daño|lastimarse|herirse)",
        "(reparación|intervención|ayuda) (urgente|inmediata)",
        "(antes que nada|lo primero|lo más rápido posible|con la máxima urgencia)",
    ),
    "low": (
        "(estado|prioridad|nota|nivel)(:| -|) (baja|no urgente|sin prisa|mínima)",
        "(tómense|tomaos|tómate) (el |su |)tiempo",
        "(no es|esto no es|no es nada) (prioritario|una emergencia|de urgencia)",
        "no (hace falta|tiene que ser|es necesario) (hoy|hacerlo ya|esta semana|correr)",
        "(arreglarlo|mirarlo|hacerlo) cuando (puedan|tengan un rato|venga bien)",
        "(apuntar|dejarlo|anotar) para (la próxima revisión|el próximo mantenimiento)",
        "(que espere|lo dejamos|se puede dejar) (para la semana que viene|unos días|a la revisión)",
        "(puede|podría) (esperar sin problema|quedarse para otro día|esperar un poco)",
        "(no apura|no corre prisa ninguna|con calma|sin apuro|un día tranquilo|cuando quieran)",
    ),
    "frame": (
        "{asset}, {verb}",
        "{asset}: {verb}",
        "{noun}: {asset}",
        "{noun} - {asset}",
        "{asset} <{noun}>",
        "(máquina|equipo|unidad)(:| =|) {asset}(,| -| /|;) (fallo|avería|defecto)(:|) {noun}",
        "(qué|fallo|avería): {noun}(,| /|;|) (dónde|máquina|equipo)(:|) {asset}",
        "(es normal que|sabían que|saben que) {asset} {verb}?",
        "(acabo de ver que|parece que|creo que|resulta que|vemos que) {asset} {verb}",
        "{name} (dice|avisa|comenta) que {asset} {verb}",
        "(hoy|esta mañana|desde ayer|en el turno|en la ronda)(:|) {asset} {verb}",
        "(por favor |pueden |)(mirar|revisar|reparar) {asset}(:|, que|, porque) {verb}",
        "(por favor |pueden |)(mirar|revisar|reparar) {asset}(:|, tiene|,) {noun}",
        "{noun} (otra vez |de nuevo |)(en|con|de) {asset}",
        "(se trata de|es|asunto) {asset}(:|,) {verb}",
        "(hola|buenas|buenos días)(,| equipo,) {asset} {verb}",
        "tenemos {noun} en {asset}",
        "{asset} presenta {noun}",
    ),
    "out_of_service": (
        "(estado|situación|nota)(:| -|) (fuera de servicio|parada|bloqueado|apartado|no operativa)",
        "(la|lo) (paramos|bloqueamos|apartamos|precintamos|hemos parado|hemos apartado)",
        "(ha sido|fue|quedó|queda) (retirada|retirado|bloqueada|bloqueado|apagada|parado|apartado)"
        "( hasta que vengan| hasta la reparación| de momento|)",
        "(cartel|cinta|candado|tarjeta roja) (puesto|puesta|colgando), (no usar|prohibido usarla)",
        "(nadie|ninguno) (puede|debe) (usarla|tocarlo|arrancarla|conducirla|usarlo)",
        "(ya no|no) (está en servicio|anda nada|opera|se usa)( por ahora|)",
        "(sigue|está) (parada|parado|aparcada|bloqueado) (en el taller|fuera|contra la pared|aquí)",
        "(retirada del servicio|inoperativa|inservible|fuera de juego|dada de baja por ahora)",
        "(se paró|se detuvo|murió) (del todo|por completo|completamente)",
        "(hubo que|tuvimos que) (pararla|apagarlo|retirarla|sacarla de servicio|bloquearlo)",
    ),
    "aside": (
        "(nota|info|de parte de|remite)(:| -|) {name}",
        "(lugar|ubicación|dónde)(:|) (nave|pasillo|zona) {small}",
        "(última|anterior) (reparación|inspección) (fue |)(en |)(marzo|mayo|primavera)",
        "(por favor |)(confirmar|avisar|contestar|decidme algo)( por correo|)",
        "(quién está de guardia|cuándo venís|quién viene|a qué hora vienen)?",
        "(operario|usuario|lo llevaba)(:|) {name}",
        "({name} y yo|los de noche|el nuevo) (lo vimos|lo vieron|lo notó)",
        "(pasa |ocurre |)(solo |sobre todo |)(en frío|por la mañana|con mucho peso|al {doing})",
        "(estamos|estoy) (en la oficina|en el muelle|aquí) (hasta|desde) las {clock}",
        "(por lo demás funciona|aún trabaja|aún va tirando|funciona todavía)",
        "(la|lo) (podemos|pueden) usar",
        "(nueva|comprada|cambiada) (en mayo|el año pasado|en otoño)",
        "(referencia|serie|placa) {order}",
        "(apuntado|anotado|en el libro) (a las {clock}|por {name}|hoy)",
        "(no es la primera vez|nunca había pasado|siempre fue bien|la misma historia|qué raro)",
        "(buen día|buenas tardes|muchas gracias|un saludo|saludos, {name}|de nada)",
        "(cargada|vacía|con {small} palets) (en ese momento|cuando pasó)",
        "{name} (lo explica|os lo enseña)",
    ),
}
