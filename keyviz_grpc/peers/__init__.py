"""Who is in the cluster: a static list, a DNS name, a watched file, or seeds."""

from keyviz_grpc.peers.membership import DnsPeers, FilePeers, SeedPeers, StaticPeers
from keyviz_grpc.peers.protocols import Membership, Peer

__all__ = ["DnsPeers", "FilePeers", "Membership", "Peer", "SeedPeers", "StaticPeers"]
