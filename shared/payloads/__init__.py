"""What `data` means: one frozen Struct per service, with units. API documents and tests use these types."""

from shared.payloads.explorers import Explorers
from shared.payloads.fields import Payload
from shared.payloads.health_checker import HealthChecker
from shared.payloads.huggingface import HuggingFace
from shared.payloads.market_data import MarketData
from shared.payloads.news import News
from shared.payloads.onchain import Onchain
from shared.payloads.persistence import Persistence
from shared.payloads.pool_manager import PoolManager
from shared.payloads.rpc_nodes import RpcNodes
from shared.payloads.scheduler import Scheduler
from shared.payloads.sentiment import Sentiment
from shared.payloads.system import Heartbeat, SystemNotice
from shared.payloads.whale_tracking import WhaleTracking

__all__ = [
    "Explorers",
    "HealthChecker",
    "Heartbeat",
    "HuggingFace",
    "MarketData",
    "News",
    "Onchain",
    "Payload",
    "Persistence",
    "PoolManager",
    "RpcNodes",
    "Scheduler",
    "Sentiment",
    "SystemNotice",
    "WhaleTracking",
]
