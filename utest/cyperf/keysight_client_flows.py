"""Drives a controller with Keysight's own Python client, in the steps of its published samples.

A program, not a test module: `python keysight_client_flows.py FLOW HOST:PORT` is run by
`test_keysight_client.py` with an interpreter that has the package `cyperf` of PyPI. It ends
with a line of JSON.
"""

from __future__ import annotations

import inspect
import json
import sys
import time
import warnings
import zipfile

import urllib3

import cyperf
from cyperf import utils

USER, PASSWORD = "admin", "CyPerf&Keysight#1"


def method(api, *names):
    """Returns the first of several names: methods were renamed between client versions."""
    for name in names:
        if hasattr(api, name):
            return getattr(api, name)
    raise AttributeError(names)


def client(host, **credentials):
    configuration = cyperf.Configuration(host=f"https://{host}", **credentials)
    configuration.verify_ssl = False
    return cyperf.ApiClient(configuration)


def helpers(host):
    """Returns the client's own helper class, which some versions let do without a trusted certificate."""
    options = {"verify_ssl": False} if "verify_ssl" in inspect.signature(utils.TestRunner.__init__).parameters else {}
    return utils.TestRunner(host, username=USER, password=PASSWORD, refresh_token=None, **options)


def wait_for_end(test, session, monitor):
    """Waits with the client's helper, which was renamed in 26.x."""
    method(test, "wait_for_test_end", "wait_for_test_stop")(session, monitor)


def last_row(test, session, name):
    """Returns the first row of a view's last sample by column name."""
    run = cyperf.SessionsApi(test.api_client).get_session_test(session_id=session.id)
    stats = cyperf.StatisticsApi(test.api_client)
    view = stats.get_result_stat_by_id(run.test_id, name, var_from=0, use_relative_time=True)
    return dict(zip(view.columns, [cell.actual_instance for cell in view.snapshots[-1].values[0]], strict=True))


def run_to_end(session):
    """Starts a session's test and waits as the samples do."""
    start = method(cyperf.TestOperationsApi(session.api_client), "start_test_run_start")
    start(session_id=session.id).await_completion()
    session.refresh()
    states = [session.test.status]
    while session.test.status != "STOPPED":
        time.sleep(0.5)
        session.refresh()
        states.append(session.test.status)
    return states


def assign(network_profiles, agents):
    """Assigns one agent by id to each of the two usual segments."""
    by_segment = {"IP Network 1": agents["role:client"], "IP Network 2": agents["role:server"]}
    for profile in network_profiles:
        for segment in profile.ip_network_segment:
            if segment.name in by_segment:
                agent = by_segment[segment.name]
                details = [cyperf.AgentAssignmentDetails(agent_id=agent.id, id=agent.id)]
                if not segment.agent_assignments:
                    segment.agent_assignments = cyperf.AgentAssignments(by_tag=[])
                segment.agent_assignments.by_id.extend(details)
                segment.update()


def agents_by_tag(api_client):
    agents = cyperf.AgentsApi(api_client).get_agents(exclude_offline="true")
    return {agent.agent_tags[0]: agent for agent in agents}


def high_ports(api_client, session):
    """Moves the applications to ports that need no privilege."""
    for application in session.config.config.traffic_profiles[0].applications:
        settings = application.connections[0].port_settings
        settings.destination_port = settings.server_listen_port = 18090 + int(application.id)
        settings.update()


def precanned(host):
    """Opens a built-in configuration by name, runs it, downloads everything."""
    with client(host, refresh_token="stand-in-offline-token") as api_client:
        configs = cyperf.ConfigurationsApi(api_client).get_configs(
            take=1, search_col="displayName", search_val="Not Working From Home Traffic Mix"
        )
        sessions = cyperf.SessionsApi(api_client)
        session = sessions.create_sessions([cyperf.Session(configUrl=configs.data[0].config_url)])[0]
        high_ports(api_client, session)
        config = sessions.get_session_config(session_id=session.id, include="Config, TrafficProfiles")
        objective = config.config.traffic_profiles[0].objectives_and_timeline.primary_objective
        objective.timeline[1].duration = 3
        objective.update()
        assign(config.config.network_profiles, agents_by_tag(api_client))
        states = run_to_end(session)
        results = cyperf.TestResultsApi(api_client)
        generate = method(results, "start_result_generate_all")
        path = generate(session.test.test_id, cyperf.GenerateAllOperation()).await_completion()
        with zipfile.ZipFile(path) as archive:
            files = archive.namelist()
        listed = [result.id for result in results.get_results()]
        test_id = session.test.test_id
        sessions.delete_session(session.id)
        return {"states": states, "files": files, "result_listed": test_id in listed}


def built_from_empty(host):
    """Builds a configuration from the empty one, runs it, saves, exports and imports it."""
    with client(host, username=USER, password=PASSWORD) as api_client:
        found = cyperf.ConfigurationsApi(api_client).get_configs(
            take=1, search_col="displayName", search_val="Cyperf Empty Config"
        )
        sessions = cyperf.SessionsApi(api_client)
        session = sessions.create_sessions([cyperf.Session(configUrl=found.data[0].config_url)])[0]
        profiles = session.config.config.traffic_profiles
        profiles.append(cyperf.ApplicationProfile(Name="Application Profile"))
        profiles.update()
        resources = cyperf.ApplicationResourcesApi(api_client)
        apps = resources.get_resources_apps(take=4, skip=0, search_col="Name", search_val="Google", sort="Name:asc")
        infos = [cyperf.ExternalResourceInfo(externalResourceURL=app.id) for app in apps.data]
        add = method(sessions, "start_config_add_applications", "start_config_config_traffic_profiles_add_applications")
        add(session.id, "1", infos).await_completion()
        networks = session.config.config.network_profiles
        networks.append(cyperf.NetworkProfile(IPNetworkSegment=[], id="1"))
        networks.update()
        session.config.config.network_profiles[0].ip_network_segment = [
            cyperf.IPNetwork(
                name=f"IP Network {n}", id=n, agentAssignments=cyperf.AgentAssignments(by_tag=[]), minAgents=1
            )
            for n in ("1", "2")
        ]
        session.config.config.network_profiles[0].ip_network_segment.update()
        high_ports(api_client, session)
        config = sessions.get_session_config(session_id=session.id, include="Config, TrafficProfiles")
        objective = config.config.traffic_profiles[0].objectives_and_timeline.primary_objective
        objective.timeline[1].duration = 2
        objective.update()
        assign(config.config.network_profiles, agents_by_tag(api_client))
        states = run_to_end(session)
        save = cyperf.SaveConfigOperation()
        save.name = "Replica of a sample"
        saved = sessions.start_session_config_save(session.id, save).await_completion()
        configs = cyperf.ConfigurationsApi(api_client)
        wanted = cyperf.ExportAllOperation(configIds=[cyperf.ConfigId(id=saved["id"])])
        path = configs.start_configs_export_all(wanted).await_completion()
        imported = configs.start_configs_import(path).await_completion()
        names = [configs.get_config_by_id(each["id"]).display_name for each in imported]
        for identifier in [saved["id"], *(each["id"] for each in imported)]:
            configs.delete_config(identifier)
        sessions.delete_session(session.id)
        return {"states": states, "apps": [app.name for app in apps.data], "imported": names}


def runner(host):
    """The way of the TestRunner samples: helpers, statistics while running, final statistics."""
    test = helpers(host)
    session = test.create_session_by_config_name("CyPerf Two Arm Base")
    test.add_app(session, "HTTP App")
    high_ports(test.api_client, session)
    test.disable_automatic_network(session)
    addresses = {tag: agent.ip for tag, agent in agents_by_tag(test.api_client).items()}
    test.assign_agents(
        session, {"IP Network 1": [addresses["role:client"]], "IP Network 2": [addresses["role:server"]]}
    )
    test.set_objective_and_timeline(session, objective_value=10, test_duration=5)
    test.start_test(session)
    seen = []

    def monitor(run, begin, end):
        stats = test.collect_stats(run, "client-throughput", begin, end)
        stamps = [snapshot.timestamp for stat in stats for snapshot in stat.snapshots or []]
        seen.extend(stamps)
        return max(stamps, default=begin)

    wait_for_end(test, session, monitor)
    last = last_row(test, session, "client-traffic-profile")
    run = cyperf.SessionsApi(test.api_client).get_session_test(session_id=session.id)
    stats = cyperf.StatisticsApi(test.api_client)
    views = [stat.name for stat in stats.get_result_stats(run.test_id)]
    test.delete_session(session)
    return {"polled": len(set(seen)), "last": last, "views": views}


def list_update(host):
    """Lists: add two, remove two at once (one by one after the refused batch), remove one."""
    with client(host, username=USER, password=PASSWORD) as api_client:
        sessions = cyperf.SessionsApi(api_client)
        session = sessions.create_sessions([cyperf.Session(configUrl="appsec-appmix")])[0]
        applications = session.config.config.traffic_profiles[0].applications
        before = [application.id for application in applications]
        for app in ("app-http-app", "app-tcp-app"):
            applications.append(cyperf.Application(external_resource_url=app, objective_weight=1))
        applications.update()
        added = [application.name for application in applications]
        ids = [application.id for application in applications]
        for _ in range(2):
            applications.pop(0)
        applications.update()
        after = [application.name for application in applications]
        segment = session.config.config.network_profiles[0].ip_network_segment[0]
        segment.active = False
        segment.update()
        segment.refresh()
        active = segment.active
        sessions.delete_session(session.id)
        return {
            "before": len(before),
            "added": added,
            "unique": len(set(ids)) == len(ids),
            "after": after,
            "active": active,
        }


def _attack_session(api_client):
    """Builds a session that sends two strikes once, as the attack sample does."""
    resources = cyperf.ApplicationResourcesApi(api_client)
    search = {"skip": 0, "search_col": "Name", "categories": "Browser:Chrome"}
    strikes = resources.get_resources_strikes(take=2, search_val="Google Chrome", **search).data
    found = cyperf.ConfigurationsApi(api_client).get_configs(
        take=1, search_col="displayName", search_val="Cyperf Empty Config"
    )
    session = cyperf.SessionsApi(api_client).create_sessions([cyperf.Session(configUrl=found.data[0].config_url)])[0]
    profiles = session.config.config.attack_profiles
    profiles.append(cyperf.AttackProfile(id="1", name="My Attack Profile", attacks=[]))
    profiles.update()
    for number, strike in enumerate(strikes, start=1):
        attack = resources.get_resources_attacks(take=1, search_val=strike.name, **search).data[0]
        attacks = session.config.config.attack_profiles[0].attacks
        attacks.append(cyperf.Attack(id=str(number), name=strike.name, external_resource_url=attack.id))
        attacks.update()
    timeline = session.config.config.attack_profiles[0].objectives_and_timeline
    timeline.timeline_segments[0].iteration_count = 1
    timeline.update()
    session.config.config.network_profiles[0].ip_network_segment = [
        cyperf.IPNetwork(name=f"IP Network {n}", id=n, agentAssignments=cyperf.AgentAssignments(by_tag=[]), minAgents=1)
        for n in ("1", "2")
    ]
    session.config.config.network_profiles[0].ip_network_segment.update()
    return session, [strike.name for strike in strikes]


def attacks(host):
    """The attack samples: strikes one by one with a CSV report, then the same from an imported file with helpers."""
    with client(host, username=USER, password=PASSWORD) as api_client:
        sessions = cyperf.SessionsApi(api_client)
        session, names = _attack_session(api_client)
        assign(session.config.config.network_profiles, agents_by_tag(api_client))
        states = run_to_end(session)
        reports = cyperf.ReportsApi(api_client)
        path = reports.start_result_generate_csv(
            session.test.test_id, cyperf.GenerateCSVReportsOperation()
        ).await_completion()
        with zipfile.ZipFile(path) as archive:
            csvs = archive.namelist()
        save = cyperf.SaveConfigOperation()
        save.name = "Attacks of a sample"
        saved = sessions.start_session_config_save(session.id, save).await_completion()
        configs = cyperf.ConfigurationsApi(api_client)
        wanted = cyperf.ExportAllOperation(configIds=[cyperf.ConfigId(id=saved["id"])])
        file = configs.start_configs_export_all(wanted).await_completion()
        sessions.delete_session(session.id)
        configs.delete_config(saved["id"])
    test = helpers(host)
    identifier, url = test.load_configuration_file(file)
    session = test.create_session(url)
    test.assign_agents(session, auto_assign=True)
    test.start_test(session)
    rows = {}

    def monitor(run, begin, end):
        for stat in test.collect_stats(run, "all-strikes-attack", begin, end):
            for snapshot in stat.snapshots or []:
                for row in snapshot.values:
                    cells = dict(zip(stat.columns, [cell.actual_instance for cell in row], strict=True))
                    rows[cells["Strike"]] = [
                        int(cells[f"Strikes {what}"]) for what in ("Initiated", "Allowed", "Blocked")
                    ]
        return begin

    wait_for_end(test, session, monitor)
    monitor(cyperf.SessionsApi(test.api_client).get_session_test(session_id=session.id), 0, -1)
    test.delete_session(session)
    test.remove_configuration(identifier)
    return {"states": states, "csvs": csvs, "names": names, "rows": rows}


def streaming(host):
    """The UDP sample: streams are added to the mix, agents are assigned by the client, rates are read meanwhile."""
    test = helpers(host)
    session = test.create_session_by_config_name("CyPerf AppMix")
    test.add_app(session, "UDP Stream")
    high_ports(test.api_client, session)
    test.disable_automatic_network(session)
    test.assign_agents(session, auto_assign=True)
    test.set_objective_and_timeline(
        session, objective_type=cyperf.ObjectiveType.SIMULATED_USERS, objective_value=5, test_duration=3
    )
    test.start_test(session)
    rates = {}

    def monitor(run, begin, end):
        for name in ("client-streaming-rate", "server-streaming-rate"):
            for stat in test.collect_stats(run, name, begin, end):
                rates.setdefault(stat.name, []).extend(snapshot.timestamp for snapshot in stat.snapshots or [])
        return begin

    wait_for_end(test, session, monitor)
    run = cyperf.SessionsApi(test.api_client).get_session_test(session_id=session.id)
    final = {}
    for name in ("client-streaming-statistics", "server-streaming-statistics"):
        final |= last_row(test, session, name)
    test.delete_session(session)
    return {"status": run.status, "rates": sorted(name for name in rates if rates[name]), "final": final}


def paging(host):
    """Bare and paged lists, health checks of the client, licence servers, tags, notifications."""
    with client(host, username=USER, password=PASSWORD) as api_client:
        api_client.wait_for_controller_up(timeout_seconds=5)
        configs = cyperf.ConfigurationsApi(api_client)
        empty = configs.get_configs(take=0)
        licences = cyperf.LicenseServersApi(api_client)
        made = licences.create_license_servers(
            [cyperf.LicenseServerMetadata(host_name="licence.example", trust_new=True)]
        )
        status = licences.get_license_server_by_id(str(made[0].id)).connection_status
        licences.delete_license_server(str(made[0].id))
        agents = cyperf.AgentsApi(api_client)
        return {
            "bare": len(configs.get_configs()),
            "empty": len(empty.data),
            "total": empty.total_count,
            "licence": status,
            "tags": sorted(group.name for group in agents.get_agents_tags()),
            "agents": [agent.status for agent in agents.get_agents()],
        }


if __name__ == "__main__":
    urllib3.disable_warnings()
    warnings.simplefilter("ignore")
    print(json.dumps(globals()[sys.argv[1]](sys.argv[2])))
