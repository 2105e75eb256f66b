"""Why a run went wrong: what controller, agents, pods, nodes and a probe of our own say."""

from __future__ import annotations

from collections.abc import Iterable

from NetLibrary._mechanics.cyperf import nodes
from NetLibrary._mechanics.cyperf.controller import Controller
from NetLibrary._mechanics.cyperf.objects import Deployed, live_pods
from NetLibrary._mechanics.cyperf.run import state
from NetLibrary._mechanics.cyperf.session import TestSession
from NetLibrary._mechanics.errors import ControllerError, NetLibraryError
from NetLibrary._mechanics.kube import times, why_not_ready
from NetLibrary._mechanics.kube.cluster import Cluster

# Each image has one of these; the first that is there decides.
_PROBE = (
    "h=$1 p=$2; "
    "if command -v python3 >/dev/null 2>&1; then python3 -c '"
    "import socket,sys,time\n"
    "t=time.time()\n"
    "try:\n"
    " s=socket.create_connection((sys.argv[1],int(sys.argv[2])),3)\n"
    ' print("connected in %.1f ms" % ((time.time()-t)*1000))\n'
    "except OSError as e:\n"
    " print(e); sys.exit(1)\n"
    '\' "$h" "$p"; '
    "elif command -v curl >/dev/null 2>&1; then "
    'curl -sS -m 3 -o /dev/null "telnet://$h:$p" </dev/null && echo connected; '
    'else timeout 3 bash -c "exec 3<>/dev/tcp/$h/$p" && echo connected; fi'
)


def probe(cluster: Cluster, clients: Deployed, host: str, port: int) -> list[str]:
    """Connects from each client pod to a target, outside of CyPerf; returns a sentence for each."""
    found = []
    for pod in live_pods(cluster, clients)[:3]:
        name = str(pod["metadata"]["name"])
        try:
            result = cluster.exec(
                clients.namespace, name, ["sh", "-c", _PROBE, "probe", host, str(port)],
                container=clients.container or None, timeout=10, check=False, again=True,
            )  # fmt: skip
        except NetLibraryError as error:
            found.append(f"Probe from pod '{name}' to {host}:{port} could not run: {error}")
            continue
        said = " ".join((result.stdout + result.stderr).split()) or "nothing"
        if result.exit_code == 0:
            word = "works"
        elif "refused" in said.lower():
            word = "is refused, as expected after a test, since emulated servers listen only while one is running"
        else:
            word = "fails"
        found.append(f"Probe from pod '{name}' to {host}:{port} {word}: {said}.")
    return found


def pods(cluster: Cluster, deployed: Iterable[Deployed], since: float) -> list[str]:
    """Returns sentences for agent pods that are gone, restarted or not running, and their warnings.

    Args:
        cluster: Cluster of the pods.
        deployed: Deployments of agents.
        since: Unix time; events before it have nothing to do with the run.
    """
    found = []
    for each in deployed:
        live = live_pods(cluster, each)
        if len(live) != each.replicas:
            found.append(f"{each.role.value} agents: {len(live)} pods instead of {each.replicas}.")
        gone = sorted(each.seen - {str(pod["metadata"]["name"]) for pod in live})
        found += [f"Agent pod '{each.namespace}/{name}' is gone." for name in gone]
        for pod in live:
            restarts = sum(c.get("restartCount", 0) for c in pod.get("status", {}).get("containerStatuses") or [])
            name = f"'{each.namespace}/{pod['metadata']['name']}'"
            if restarts:
                found.append(f"Agent pod {name} restarted {restarts} times ({why_not_ready.exit_text(pod)}).")
            elif not why_not_ready.is_ready(pod) and not each.ready_needs_traffic:
                found.append(f"Agent pod {name} is not ready: {why_not_ready.problem(pod).text}.")
        try:
            events = cluster.list("Event", each.namespace, fields="type=Warning")
        except NetLibraryError:
            continue
        for event in events:
            involved = event.get("involvedObject", {})
            if str(involved.get("name", "")).startswith(each.name) and times.of_event(event) >= since:
                message = " ".join(str(event.get("message")).split())
                found.append(f"Event {event.get('reason')} of pod '{involved.get('name')}': {message}")
    return list(dict.fromkeys(found))


def controller_says(session: TestSession) -> list[str]:
    """Returns test details and notifications."""
    try:
        details = state(session).details
        notes = session.controller.notifications(session.id)
    except ControllerError as error:
        return [str(error)]
    return ([f"Controller: {details}"] if details else []) + [f"Controller {note}" for note in notes]


def lost_agents(controller: Controller, deployed: Iterable[Deployed]) -> list[str]:
    """Returns sentences for agents of this run that the controller lists as offline."""
    tags = [each.tag for each in deployed]
    try:
        agents = controller.agents(offline=True)
    except ControllerError as error:
        return [str(error)]
    return [
        f"Agent {agent.hostname or agent.id} ({agent.ip}) lost its connection to the controller."
        for agent in agents
        if agent.offline and any(agent.has(tag) for tag in tags)
    ]


def tracking(cluster: Cluster, namespace: str, before: list[nodes.NodeReading]) -> list[str]:
    """Returns sentences for nodes whose connection tracking was full."""
    return nodes.exhaustion(before, nodes.read(cluster, namespace)) if before else []
