"""Who is in the cluster: a static list, a DNS name, a watched file, or seeds."""

from keyviz_grpc.peers.dns_peers import DnsPeers, Resolver, resolve
from keyviz_grpc.peers.dns_server import DnsServerResolver
from keyviz_grpc.peers.listed import FilePeers, StaticPeers
from keyviz_grpc.peers.protocols import Membership, Peer
from keyviz_grpc.peers.seeds import SeedPeers

__all__ = [
    "DnsPeers",
    "DnsServerResolver",
    "FilePeers",
    "Membership",
    "Peer",
    "Resolver",
    "SeedPeers",
    "StaticPeers",
    "resolve",
]
