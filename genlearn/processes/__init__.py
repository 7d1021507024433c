"""Several processes that train one model together, connected by Lightning Fabric."""

from genlearn.processes.group import Group, current_group, joined, running_statistics
from genlearn.processes.launching import devices_here, launch

__all__ = ["Group", "current_group", "devices_here", "joined", "launch", "running_statistics"]
