"""Follows commands in a cluster to the node where their slot is, or is moving to.

While a slot moves, its old node answers for keys that have gone with ``ASK``: the new one will take the command if
``ASKING`` comes directly before it on the same connection. redis-py sends the two over two connections when others are
busy, is sent back, and gives up after sixteen turns; so they are sent here.
https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#ask-redirection
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio import RedisCluster
from redis.asyncio.cluster import ClusterNode, PipelineCommand
from redis.exceptions import AskError, ClusterDownError, MovedError, TryAgainError

__all__ = ["PAUSE", "REDIRECTED", "TURNS", "follow", "key_of", "node_of"]

REDIRECTED: Final = (AskError, MovedError, TryAgainError)
"""Refusals that say where else, or when else, a command will be carried out; it has not been."""

TURNS: Final = 50
"""How often a command is sent on before its refusal is believed."""
PAUSE: Final = 0.01  # seconds from one turn to the next, once the first few have not found the node


def node_of(client: RedisCluster, words: Sequence[Any]) -> ClusterNode:
    """Return the node that has the key of a command, as far as the client knows."""
    node: ClusterNode | None = client.get_node_from_key(key_of(words))
    if node is None:
        raise ClusterDownError("the cluster names no node for this key")
    return node


def key_of(words: Sequence[Any]) -> Any:
    """Return the key of a command."""
    return words[3] if words[0] in ("EVALSHA", "EVAL") else words[1]  # script, number of keys, key


async def follow(client: RedisCluster, words: Sequence[Any], refusal: Any, after: Sequence[Any] = ()) -> list[Any]:
    """Send a command where its refusal says; return the reply, and that to what is sent ``after`` it if anything is.

    An error is in the place of a reply.
    """
    replies: list[Any] = [refusal]
    for turn in range(TURNS):
        refused = replies[0]
        if not isinstance(refused, REDIRECTED):
            break
        if turn > 2 or isinstance(refused, TryAgainError):
            await asyncio.sleep(PAUSE)
        asking = isinstance(refused, AskError)
        node = node_of(client, words) if isinstance(refused, TryAgainError) else await _named(client, refused)
        commands = [("ASKING",)] * asking + [tuple(words)] + [tuple(after)] * bool(after)
        queue = [PipelineCommand(at, *command) for at, command in enumerate(commands)]
        await node.execute_pipeline(queue)
        replies = [command.result for command in queue][asking:]
    return replies


async def _named(client: RedisCluster, refusal: AskError | MovedError) -> ClusterNode:
    """Return the node that a refusal names; the client takes notice of where a slot is now."""
    if isinstance(refusal, MovedError) and hasattr(client.nodes_manager, "move_slot"):
        await client.nodes_manager.move_slot(refusal)
    node: ClusterNode | None = client.get_node(host=refusal.host, port=refusal.port)
    if node is None:  # it has joined the cluster since the client looked
        await client.nodes_manager.initialize()
        node = client.get_node(host=refusal.host, port=refusal.port)
    if node is None:
        raise ClusterDownError("a slot is on a node that the cluster does not name")
    return node
