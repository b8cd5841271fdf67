"""docs/metrics.md lists exactly what is exposed. Written anew by `python -m tests.unit.test_metrics_page`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from gateway.metrics import Metrics
from keyviz_grpc.hotkeys import HotKeysSettings
from keyviz_grpc.metrics import ServerMetrics
from keyviz_grpc.sampler import Sampler
from keyviz_grpc.server import METHODS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"

HEAD = """# Metrics

`keyviz-node` and `keyviz-gateway` serve `/metrics` for Prometheus where `--metrics HOST:PORT` says, on a listener of
its own that is beyond loopback only with `--expose-metrics` (or `--insecure`, which lifts every guard): it has neither
TLS nor credentials, and no keys or values. It has 32 connections at a time, one more gets 503; one that asks for
nothing in 10 s, or has not taken its answer in 20 s, is cut. A store that embeds the sampler shows the same in its own
registry until the server is drained: `serve_node(sampler, listen=…, registry=prometheus_client.REGISTRY)`.

Every label has a small, fixed set of values, whatever callers send: unknown methods and routes are `other`. Peers have
series of their own up to 256 at a time; one that nobody heard of for ten minutes makes room for a new one, beyond that
they share `other`. `kind` and the `code` of warnings are the words of [production.md](production.md) and
[merge.md](merge.md). Beside these there are `process_…` and `python_…`. Calls that gRPC itself refuses, because more
are under way than even health checks need, never reach the counters.

What to be woken for: `keyviz_matrix_nodes_responded` below `keyviz_matrix_nodes_expected` for minutes, a rate of
`keyviz_http_requests_total` with `status` 502 or 503, `keyviz_sampler_on` 0 where it should be 1, and
`time() - keyviz_sampler_newest_column_seconds` beyond a few steps: windows no longer close.
"""


def described(registry: CollectorRegistry) -> dict[str, str]:
    """Of each metric of ours its row of the table, by name as it is exposed."""
    labels = {name: getattr(collector, "_labelnames", ()) for name, collector in registry._names_to_collectors.items()}
    rows = {}
    for family in registry.collect():
        if not family.name.startswith("keyviz_"):
            continue
        name = family.name + "_total" * (family.type == "counter")
        shown = labels.get(family.name, ()) or sorted({label for sample in family.samples for label in sample.labels})
        named = ", ".join(f"`{label}`" for label in shown if label != "le")
        rows[name] = f"| `{name}` | {family.type} | {named} | {family.documentation} |"
    return rows


def of_gateway() -> dict[str, str]:
    """What only a gateway shows."""
    return described(Metrics().registry)


def of_servers() -> dict[str, str]:
    """What nodes show, and gateways that serve gRPC, as to the server."""
    registry = CollectorRegistry()
    ServerMetrics(registry, METHODS)
    return described(registry)


def of_samplers() -> dict[str, str]:
    """What nodes show of their sampler, hot keys being on."""
    registry = CollectorRegistry()
    with Sampler(node_id="n", hot_keys=HotKeysSettings()) as sampler:
        ServerMetrics(registry, METHODS).watch(sampler)
        rows = described(registry)
    return {name: row for name, row in rows.items() if name not in of_servers()}


def section(title: str, rows: dict[str, str]) -> str:
    """One table."""
    return "\n".join(
        [f"## {title}", "", "| metric | type | labels | meaning |", "|---|---|---|---|", *rows.values(), ""]
    )


def page() -> str:
    """The whole page."""
    parts: list[Any] = [
        HEAD,
        section("On the gateway", of_gateway()),
        section("On every gRPC server (nodes, and the gateway's own with `--grpc`)", of_servers()),
        section("On nodes", of_samplers()),
    ]
    return "\n".join(parts)


def test_the_page_lists_exactly_what_is_exposed() -> None:
    """No metric without a word about it, none described that is not there, labels and all."""
    assert PAGE.read_text(encoding="utf-8") == page()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
