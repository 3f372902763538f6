"""What the detectors read in a running SUMO, and that heads without wishes repeat SUMO's own program."""

import subprocess
import sys
from pathlib import Path

from civium.core.extras import require

sumo = require("sumo", "mobility")

RUN = """
import contextlib, io, sys
from pathlib import Path
from civium.core.extras import require
with contextlib.redirect_stdout(io.StringIO()):
    libsumo = require('libsumo', 'mobility')
import numpy as np
from civium.sandbox.detectors import read_detectors, write_detectors
from civium.sandbox.junction import read_junctions
from civium.sandbox.signal_head import SignalHead

net, routes, extra = map(Path, sys.argv[1:])
junctions = read_junctions(net)
detectors = write_detectors(net, junctions, extra)


class Mirror(dict):
    def show(self, signal, state):
        self[signal] = state

    def shown(self, signal):
        return self.get(signal) or libsumo.trafficlight.getRedYellowGreenState(signal)


libsumo.start(["sumo", "-n", str(net), "-r", str(routes), "-a", str(extra), "--no-step-log", "--no-warnings"])
mirror = Mirror()
heads = [SignalHead(j, mirror, 0) for j in junctions]
passed, most = 0.0, 0.0
for second in range(300):
    libsumo.simulationStep()
    for head in heads:
        head.step(second * 1_000_000)
        assert head.state == mirror.shown(head.junction.id)
        own = libsumo.trafficlight.getRedYellowGreenState(head.junction.id)
        assert head.state == own, (second, head.junction.id, head.state, own)
    if second % 5 == 4:
        columns = read_detectors(libsumo, detectors)
        for name, column in columns.items():
            assert len(column.value) == sum(name in d.measures for d in detectors)
            assert name == "vehicle_speed" or np.isfinite(column.value).all()
        assert (columns["queue_length"].value <= columns["vehicle_count"].value).all()
        assert ((columns["occupancy"].value >= 0) & (columns["occupancy"].value <= 1)).all()
        passed += columns["vehicle_flow"].value.sum()
        most = max(most, columns["vehicle_count"].value.sum())
libsumo.close()
print(passed, most)
"""


def test_detectors_see_traffic_and_heads_repeat_the_fixed_program(tmp_path: Path) -> None:
    net, routes = tmp_path / "made.net.xml", tmp_path / "made.rou.xml"
    program = Path(sumo.SUMO_HOME, "bin", "netgenerate")
    size = ["--grid", "--grid.number", "2", "--grid.attach-length", "150", "-L", "2"]
    command = [str(program), *size, "--tls.set", "A0,A1,B0,B1", "-o", str(net)]
    subprocess.run(command, check=True, capture_output=True, env={"SUMO_HOME": sumo.SUMO_HOME})
    flow = '<flow id="{0}" begin="0" end="250" period="8" from="left{0}A{0}" to="B{0}right{0}"/>'
    routes.write_text("<routes>" + flow.format(0) + flow.format(1) + "</routes>")
    script = tmp_path / "run.py"
    script.write_text(RUN)
    done = subprocess.run(
        [sys.executable, str(script), str(net), str(routes), str(tmp_path / "d.add.xml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    passed, most = map(float, done.stdout.split())
    assert passed > 60
    assert most >= 3
