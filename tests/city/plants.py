"""Plants on loopback for tests of sources: an OPC UA server and a Modbus device, each in a thread of its own."""

import asyncio
import threading
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncua import Server, ua
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from tests.cluster.stand import free_ports


class _Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


class Plant(_Loop):
    """An OPC UA server with the nodes ``Pump1.Flow`` and ``Pump1.Name``."""

    def __init__(self, certificate: Path | None = None, key: Path | None = None) -> None:
        super().__init__()
        (self.port,) = free_ports(1)
        self.url = f"opc.tcp://127.0.0.1:{self.port}/plant"
        self._certificate, self._key = certificate, key
        self.run(self._start())

    async def _start(self) -> None:
        self._server = Server()
        await self._server.init()
        self._server.set_endpoint(self.url)
        if self._certificate is None or self._key is None:
            self._server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        else:
            self._server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
            await self._server.load_certificate(self._certificate)
            await self._server.load_private_key(self._key)
        space = await self._server.register_namespace("urn:plant")
        pump = await self._server.nodes.objects.add_object(space, "Pump1")
        self._flow = await pump.add_variable(ua.NodeId("Pump1.Flow", space), "Flow", 0.0)
        self._name = await pump.add_variable(ua.NodeId("Pump1.Name", space), "Name", "north")
        self.namespace = space
        await self._server.start()

    def flow(self, value: float, at: datetime, status: int = ua.StatusCodes.Good) -> None:
        told = ua.DataValue(ua.Variant(value, ua.VariantType.Double), ua.StatusCode(status), at.astimezone(UTC))
        self.run(self._flow.write_value(told))

    def add(self, name: str, value: Any, kind: ua.VariantType) -> None:
        """Another node, of any type."""
        made = self._server.nodes.objects.add_variable(ua.NodeId(name, self.namespace), name, value, kind)
        self.run(made)

    def stop(self) -> None:
        self.run(self._server.stop())

    def start(self) -> None:
        self.run(self._start())


class Station(_Loop):
    """A Modbus device: a flow as float32, a level as int16, a coil; register 50 and what lies beyond is not there."""

    def __init__(self, flow: float = 12.5, level: int = -73) -> None:
        super().__init__()
        (self.port,) = free_ports(1)
        self.url = f"tcp://127.0.0.1:{self.port}"
        coils = [SimData(0, values=[True, False] * 8, datatype=DataType.BITS)]
        inputs = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
        holding = [
            SimData(0, values=flow, datatype=DataType.FLOAT32), SimData(2, values=level, datatype=DataType.INT16),
        ]  # fmt: skip
        registers = [SimData(0, values=7, datatype=DataType.UINT16)]
        self._device = SimDevice(3, simdata=(coils, inputs, holding, registers))
        self.start()

    def start(self) -> None:
        async def run() -> ModbusTcpServer:
            server = ModbusTcpServer(self._device, address=("127.0.0.1", self.port))
            await server.serve_forever(background=True)
            return server

        self._server = self.run(run())

    def stop(self) -> None:
        self.run(self._server.shutdown())
