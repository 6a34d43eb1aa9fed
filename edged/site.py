"""What this board offers its devices: topics, limits, clients, templates, fixed devices.

In:  the configuration and the template files.     Out: `Site`, for admission and status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edged import calibration, config, templates
from edged.calibration import Calibration
from edged.errors import ConfigError
from edged.inputs import InputMap
from edged.models.installed import templates_dir
from edged.templates import Template
from edged.topics import Topics

# Of a client that the configuration says nothing of.
DEFAULTS = config.Client()


@dataclass(frozen=True, slots=True)
class Site:
    """What devices may count on.

    Attributes:
        outcome_ttl_s: how long an outcome is worth keeping for the broker, s.
        calibration: what makes hit rates of confidences; empty where nobody fitted it.
    """

    topics: Topics
    requests: config.Requests
    outcome_ttl_s: float
    clients: Mapping[str, config.Client]
    templates: Mapping[str, Template]
    inputs: InputMap
    calibration: Calibration = field(default_factory=Calibration)

    def client(self, name: str) -> config.Client:
        """Return what the configuration says of a client; the defaults where it says nothing."""
        return self.clients.get(name, DEFAULTS)


def site_of(settings: config.Config) -> Site:
    """Return what the configuration makes of this board.

    Raises:
        ConfigError: a template file or the calibration table is wrong, or the configuration does
            not fit the templates.
    """
    folder = templates_dir(settings.model)
    installed = {} if folder is None else templates.load(folder)
    for name, client in settings.clients.items():
        if client.default_template is not None:
            _named(f"clients.{name}.default_template", client.default_template, installed)
    for place, rule in enumerate(settings.input):
        _check_input(place, rule, _named(f"input.{place}.template", rule.template, installed))
    for template in installed.values():
        _check_cap(template, settings.model)
    return Site(
        topics=Topics(settings.node.site, settings.node.name),
        requests=settings.requests,
        outcome_ttl_s=settings.spool.retention_s,
        clients=settings.clients,
        templates=installed,
        inputs=InputMap(settings.input),
        calibration=calibration.load(folder, installed),
    )


def _named(key: str, name: str, installed: Mapping[str, Template]) -> Template:
    if name not in installed:
        known = ", ".join(installed) or "none"
        raise ConfigError(f"{key} = {name!r}: no such template is installed; installed: {known}")
    return installed[name]


def _check_input(place: int, rule: config.Input, template: Template) -> None:
    given, wanted = set(rule.input or ()), set(template.variables)
    if rule.input is None and len(wanted) == 1:
        return
    if given != wanted:
        raise ConfigError(
            f"input.{place}.input: names {', '.join(sorted(given)) or 'nothing'}; template "
            f"{template.name} wants {', '.join(template.variables)}"
        )


def _check_cap(template: Template, model: config.Model) -> None:
    if template.max_tokens is not None and template.max_tokens > model.context_tokens:
        raise ConfigError(
            f"template {template.name}: max_tokens = {template.max_tokens} is over "
            f"model.context_tokens = {model.context_tokens}"
        )
