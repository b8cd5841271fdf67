"""`keyviz-health`: one question to the standard health service, for probes that cannot do TLS or gRPC themselves."""

from __future__ import annotations

from pathlib import Path

import click
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from keyviz_grpc.cli.options import FILE, PEER_ADDRESS, Duration, option, version_option
from keyviz_grpc.cli.running import run
from keyviz_grpc.tls import TlsFiles


@click.command("keyviz-health")
@option("--target", type=PEER_ADDRESS, default="127.0.0.1:50051", help="The server, HOST:PORT.")
@option("--service", type=str, default="", show_default="the process", help="Such as keyviz.v1.KeyViz.")
@option("--timeout", type=Duration(at_most_s=60), default="2s", help="How long it may take to answer.")
@option("--peer-ca", type=FILE, default=None, help="PEM of the authority of the server's certificate: TLS.")
@option("--peer-tls-name", type=str, default="", show_default="the host", help="Whom the server's certificate names.")
@option("--peer-certificate", type=FILE, default=None, help="PEM that is shown to the server (mTLS).")
@option("--peer-key", type=FILE, default=None, help="PEM of the key that goes with --peer-certificate.")
@version_option
def command(
    *,
    target: str,
    service: str,
    timeout: float,
    peer_ca: Path | None,
    peer_tls_name: str,
    peer_certificate: Path | None,
    peer_key: Path | None,
) -> None:
    """Prints SERVING and ends with 0, or says in one line what is wrong and ends with 1. Needs no credentials."""
    if (peer_certificate is None) != (peer_key is None):
        raise click.UsageError("--peer-certificate and --peer-key go together")
    if peer_ca is None and (peer_certificate is not None or peer_tls_name):
        raise click.UsageError("--peer-certificate and --peer-tls-name go with --peer-ca")
    options = [("grpc.enable_http_proxy", 0)]
    if peer_ca is None:
        channel = grpc.insecure_channel(target, options)
    else:
        tls = TlsFiles(peer_ca, peer_certificate, peer_key, peer_tls_name)
        channel = grpc.secure_channel(target, tls.read(), [*options, *tls.options()])
    with channel:
        status = _asked(channel, target, service, timeout)
    if status != "SERVING":
        raise click.ClickException(f"{target} {service or 'process'}: {status}")
    click.echo(status)


def _asked(channel: grpc.Channel, target: str, service: str, timeout_s: float) -> str:
    request = health_pb2.HealthCheckRequest(service=service)
    try:
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=timeout_s)
    except grpc.RpcError as error:
        code, details = error.code(), error.details()
        if code is grpc.StatusCode.NOT_FOUND and not details:
            details = f"the server knows no service {service!r}, such as keyviz.v1.KeyViz"
        raise click.ClickException(f"{target}: {code.name}: {details}") from error
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def main() -> None:
    """Entry point."""
    run(command)


if __name__ == "__main__":
    main()
