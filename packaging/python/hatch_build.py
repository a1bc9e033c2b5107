"""The wheel holds a program and no Python: any Python of the platform that HUFU_WHEEL_PLATFORM names will do."""

import os

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Tag(BuildHookInterface):
    def initialize(self, version, build_data):
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{os.environ['HUFU_WHEEL_PLATFORM']}"
