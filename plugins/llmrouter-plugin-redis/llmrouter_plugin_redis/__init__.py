"""Keep keys, budgets and rate limits in Redis, shared by all replicas of a gateway."""

from llmrouter_plugin_redis.store import RedisStore

__all__ = ["RedisStore"]
