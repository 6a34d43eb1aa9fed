"""The configuration: one TOML file, read once at start; unknown keys are errors.

Reading order: file (the whole, and how it is read), tables (each key, with what it does), npu (the
tables that only boards with an NPU have), ranges (what a key takes, in words), example (the
commented file that the models write).
"""

from edged.config.file import Config as Config
from edged.config.file import load as load
from edged.config.file import parse as parse
from edged.config.file import placed as placed
from edged.config.npu import CoreMask as CoreMask
from edged.config.npu import Npu as Npu
from edged.config.npu import Rkllm as Rkllm
from edged.config.npu import Rknn as Rknn
from edged.config.tables import Admin as Admin
from edged.config.tables import Broker as Broker
from edged.config.tables import Client as Client
from edged.config.tables import Engine as Engine
from edged.config.tables import Input as Input
from edged.config.tables import KvType as KvType
from edged.config.tables import Metrics as Metrics
from edged.config.tables import Model as Model
from edged.config.tables import Node as Node
from edged.config.tables import Plug as Plug
from edged.config.tables import Power as Power
from edged.config.tables import Quota as Quota
from edged.config.tables import Requests as Requests
from edged.config.tables import ScheduledBudget as ScheduledBudget
from edged.config.tables import Section as Section
from edged.config.tables import Spool as Spool
from edged.config.tables import Store as Store
