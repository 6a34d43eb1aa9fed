"""Builds the Debian package of edged, and the bundle for a board without network.

`tools/build-package`, `tools/build-bundle`. Read in this order: `cli` (the whole way), `wheels`
(what goes in), `site` (wheels to an environment), `tree` (every other file), `engine_code` (whether
an upgrade may leave the engine running), `control` (what dpkg is told), `archive` (the same bytes
each time), `bundle` and `signing`.
"""
