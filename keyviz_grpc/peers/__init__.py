"""Who is in the cluster: a static list, a DNS name, a watched file, or seeds."""

from keyviz_grpc.peers.membership import DnsPeers, FilePeers, SeedPeers, StaticPeers
from keyviz_grpc.peers.protocols import BytesBudget, Membership, Peer

__all__ = ["BytesBudget", "DnsPeers", "FilePeers", "Membership", "Peer", "SeedPeers", "StaticPeers"]
