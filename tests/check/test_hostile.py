"""What a practice must not do is caught, and named by the rule that it breaks."""

from collections.abc import Callable

import pytest

from civium.check.examine import examine

Breaks = Callable[..., dict[str, str]]

# what is imported, what is tried inside decide, the rule, and a word of what is said
ATTEMPTS = [
    ("", "open('/etc/passwd').read()", "touches-nothing", "opened '/etc/passwd'"),
    ("os", "os.open('/etc/hosts', os.O_RDONLY)", "touches-nothing", "opened '/etc/hosts'"),
    ("os", "os.listdir('/var')", "touches-nothing", "os.listdir '/var'"),
    ("os", "os.scandir('/opt')", "touches-nothing", "os.scandir '/opt'"),
    ("", "open(__file__, 'a')", "touches-nothing", "decide.py' for writing"),
    ("os", "os.open('new', os.O_CREAT | os.O_WRONLY)", "touches-nothing", "'new' for writing"),
    ("shutil", "shutil.rmtree('nowhere')", "touches-nothing", "shutil.rmtree"),
    ("socket", "socket.socket()", "touches-nothing", "socket.__new__"),
    ("socket", "socket.getaddrinfo('localhost', 80)", "touches-nothing", "socket.getaddrinfo"),
    ("urllib.request", "urllib.request.urlopen('http://127.0.0.1:9')", "touches-nothing", "urllib.Request"),
    ("subprocess", "subprocess.run(['true'])", "touches-nothing", "subprocess.Popen"),
    ("os", "os.system('true')", "touches-nothing", "os.system"),
    ("os", "os.fork()", "touches-nothing", "os.fork"),
    ("os", "os.execv('/bin/true', ['true'])", "touches-nothing", "os.exec"),
    ("os", "os.posix_spawn('/bin/true', ['true'], {})", "touches-nothing", "os.posix_spawn"),
    ("os", "os.kill(os.getpid(), 15)", "touches-nothing", "os.kill"),
    ("os", "os.remove('/nowhere')", "touches-nothing", "os.remove"),
    ("os", "os.environ['A'] = 'b'", "touches-nothing", "os.putenv"),
    ("ctypes", "ctypes.CDLL(None)", "touches-nothing", "ctypes.dlopen"),
    ("threading", "threading.Thread(target=int).start()", "touches-nothing", "_thread.start_new_thread"),
    ("time", "time.sleep(0.001)", "touches-nothing", "time.sleep"),
    ("sqlite3", "sqlite3.connect(':memory:')", "touches-nothing", "sqlite3.connect"),
    ("sys", "sys.addaudithook(print)", "touches-nothing", "sys.addaudithook"),
    ("", "print('hello')", "touches-nothing", "printed 'hello'"),
    ("time", "time.time()", "reads-no-clock", "time.time()"),
    ("time", "time.monotonic_ns()", "reads-no-clock", "time.monotonic_ns()"),
    ("datetime", "datetime.datetime.now(datetime.UTC)", "reads-no-clock", "datetime.now()"),
    ("time", "time.strftime('%Y')", "reads-no-clock", "time.strftime()"),
    ("time", "time.localtime()", "reads-no-clock", "time.localtime()"),
    ("datetime", "datetime.date.today()", "reads-no-clock", "date.today()"),
    ("random", "random.random()", "draws-no-chance", "random()"),
    ("os", "os.urandom(4)", "draws-no-chance", "urandom()"),
]


def test_a_good_practice_breaks_nothing(breaks: Breaks) -> None:
    assert breaks() == {}


def test_every_reach_beyond_the_inputs_is_refused_and_told(write_practice: Callable[..., object]) -> None:
    imports = "\n".join(sorted({f"import {module}" for module, *_ in ATTEMPTS if module}))
    swallow = "".join(f"try:\n    {call}\nexcept OSError:\n    pass\n" for _, call, *_ in ATTEMPTS)
    subject = examine(write_practice(swallow, imports), patience=10.0)
    missed = [word for _, _, rule, word in ATTEMPTS if not any(word in why for why in subject.breaches[rule])]
    assert not missed, dict(subject.breaches)


FRUIT = "str(list({'pear', 'plum', 'fig', 'kiwi', 'lime', 'date'}))"


@pytest.mark.parametrize(
    ("imports", "body", "rule", "word"),
    [
        pytest.param("", "open('/etc/passwd')", "decides", "Refused: a decision touches nothing", id="opens a file"),
        pytest.param("", "turns = {'x': np.random.rand(1)}", "same-again", "one process", id="global randomness"),
        pytest.param("import os", "plan = Plan(because=str(os.getpid()))", "same-again", "plan differs", id="process"),
        pytest.param("", f"plan = Plan(because={FRUIT})", "same-again", "plan differs", id="order of a set"),
        pytest.param(
            "SEEN = []", "SEEN.append(1)\nturns = {'x': np.ones(len(SEEN))}", "same-again", "one", id="global"
        ),
        pytest.param(
            "SEEN = {}", "SEEN[view.now] = 1\nplan = Plan(because=str(len(SEEN)))", "same-again", "plan", id="memo"
        ),
        pytest.param("", "view.frames['flow'] = view.frames['flow'].slice(1)", "inputs-unchanged", "view", id="frames"),
        pytest.param("", "object.__setattr__(view, 'now', 0)", "inputs-unchanged", "view", id="now"),
        pytest.param("", "state['seen'] = np.ones(1)", "inputs-unchanged", "state", id="state"),
        pytest.param("", "turns = object()", "state-plain", "a object, not a mapping", id="object as state"),
        pytest.param("", "plan = Plan(because=lambda: 1)", "plan-plain", "on the record", id="function in a plan"),
        pytest.param("", "raise RuntimeError('dead lamp')", "decides", "dead lamp (decide.py, line", id="raises"),
        pytest.param("", "raise SystemExit(0)", "decides", "SystemExit", id="leaves"),
        pytest.param(
            "import os", "os._exit(3)", "decides", "one thing, turn 1: the process ended with code 3", id="exits"
        ),
        pytest.param("import os", "os.abort()", "decides", "code -6", id="crashes"),
        pytest.param("", "raise NeedUnmet('flow', 'never')", "decides", "holds on every view", id="always holds"),
        pytest.param("", "while True:\n    pass", "in-time", "one thing, turn 1: it does not come back", id="hangs"),
        pytest.param("import threading", "threading.Semaphore(0).acquire()", "in-time", "not come back", id="waits"),
        pytest.param("", "np.ones(1 << 26)", "in-memory", "200 MiB", id="eats memory"),
    ],
)
def test_a_decision_that_is_not_pure_is_caught(breaks: Breaks, imports: str, body: str, rule: str, word: str) -> None:
    found = breaks(body, imports)
    assert word in found.get(rule, ""), found


def test_a_process_that_dies_leaves_nothing_called_kept(write_practice: Callable[..., object]) -> None:
    subject = examine(write_practice("os._exit(3)", "import os"), patience=10.0)
    assert {"same-again", "inputs-unchanged", "touches-nothing"} <= set(subject.unexamined)
