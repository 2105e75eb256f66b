"""No secret gets into any output, by whatever way it comes into a text."""

from __future__ import annotations

import base64
import contextlib
import html
import json
import shlex
import stat
import textwrap
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
import robot
import yaml
from planted import Places, marked
from scripted_api import ApiServer

from NetLibrary._mechanics.secrets import Filter


def test_no_planted_secret_is_in_any_output_at_trace_level(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    plant = Places()
    plain = base64.b64encode
    # --- who we are ------------------------------------------------------------------------------------------
    config = json.loads(api.kubeconfig(tmp_path / "base").read_text())
    config["users"][0]["user"] = {"token": plant("kubeconfig-token")}
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(config))
    (tmp_path / "token").write_text(plant("token-file") + "\n")
    config["users"][0]["user"] = {"tokenFile": str(tmp_path / "token")}
    (tmp_path / "with-file").write_text(json.dumps(config))
    plugin = tmp_path / "plugin"
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                  "status": {"token": plant("plugin-token")}}  # fmt: skip
    plugin.write_text(
        f"#!/bin/sh\nif [ -n \"$FAIL\" ]; then echo cannot log in with token=$FAIL >&2; exit 3; fi\necho '{json.dumps(credential)}'\n"
    )
    plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
    command = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}
    config["users"][0]["user"] = {"exec": command}
    (tmp_path / "with-plugin").write_text(json.dumps(config))
    failing = {**command, "env": [{"name": "FAIL", "value": plant("plugin-words")}]}
    config["users"][0]["user"] = {"exec": failing}
    (tmp_path / "with-failing-plugin").write_text(json.dumps(config))
    config["users"][0]["user"] = {"username": "joe", "password": plant("basic-password")}
    (tmp_path / "with-password").write_text(json.dumps(config))
    config["clusters"][0]["cluster"] = {
        "server": "http://127.0.0.1:9",
        "proxy-url": f"http://joe:{plant('proxy')}@127.0.0.1:9",
    }
    config["users"][0]["user"] = {}
    (tmp_path / "with-proxy").write_text(json.dumps(config))
    # --- in the cluster ---------------------------------------------------------------------------------------
    values = {"password": plant("secret-value"), "odd": plant("secret-odd", marked("odd"))}
    data = {key: plain(value.encode()).decode() for key, value in values.items()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "demo"}, "data": data}
    api.put("/api/v1/namespaces/demo/secrets", secret)
    env = [{"name": "DB_PASSWORD", "value": plant("pod-environment")}]
    pod = {"metadata": {"name": "web", "namespace": "demo"}, "spec": {"containers": [{"name": "c", "env": env}]},
           "status": {"phase": "Running"}}  # fmt: skip
    api.put("/api/v1/namespaces/demo/pods", pod)
    api.logs["web"] = f"starting with {values['password']} and {env[0]['value']}\n"
    api.command = lambda command: (command.say(1, f"it is {values['password']}".encode()), command.exit(0))[1]
    manifest = tmp_path / "secret.yaml"
    manifest.write_text(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: mine, namespace: demo}\n"
        f"stringData:\n  password: {plant('manifest-text')}\n"
    )
    api.refuse("PATCH", "/configmaps", 422, "Invalid", f"webhook says: {values['password']} is wrong")
    # --- around -------------------------------------------------------------------------------------------------
    monkeypatch.setenv("CYPERF_PASSWORD", plant("environment"))
    key = (
        "-----BEGIN RSA PRIVATE KEY-----\n"
        + plant("private-key", "MIIEowIBAAKCAQEAplantedKeyBody0123456789")
        + "\n-----END RSA PRIVATE KEY-----"
    )
    helper = tmp_path / "helper.py"
    helper.write_text(
        "from NetLibrary._mechanics import secrets\n"
        "def another_library_fails(token):\n    raise ValueError('could not log in with ' + token)\n"
        f"def print_key():\n    print({key!r})\n"
        f"def return_key():\n    return {{'key': {key!r}}}\n"
        f"def bearer():\n    print('Authorization: Bearer {plant('bearer-of-others')}')\n"
        f"def url():\n    print('GET https://joe:{plant('url-of-others')}@proxy.example/x')\n"
    )
    suite = tmp_path / "suite.robot"
    suite.write_text(f"""
*** Settings ***
Library    NetLibrary
Library    {helper}

*** Test Cases ***
Reads
    Connect To Cluster
    ${{secret}}    Get Object    Secret    s    demo
    Log    ${{secret}}
    Log Many    &{{secret}}[data]
    ${{all}}    Get Objects    Secret    demo
    ${{pod}}    Get Object    Pod    web    demo
    ${{value}}    Evaluate    base64.b64decode($secret['data']['password']).decode()
    Log    ${{value}}
    Log    ${{value}}    html=True
    Log    warned ${{value}}    WARN
    Apply Manifest    {manifest}
    ${{mine}}    Get Object    Secret    mine    demo
Fails With A Secret In Its Message
    ${{secret}}    Get Object    Secret    s    demo
    ${{value}}    Evaluate    base64.b64decode($secret['data']['password']).decode()
    Should Be Equal    ${{value}}    other
Fails In Another Library
    ${{secret}}    Get Object    Secret    s    demo
    ${{value}}    Evaluate    base64.b64decode($secret['data']['password']).decode()
    Another Library Fails    ${{value}}
Shapes
    Print Key
    ${{key}}    Return Key
    Bearer
    Url
Environment
    Log    %{{CYPERF_PASSWORD}}
Evidence Of A Pod
    Create Namespace    demo
    Fail    on purpose
Token File
    Connect To Cluster    alias=a    kubeconfig={tmp_path}/with-file
    Get Objects    Pod    demo    cluster=a
Plugin
    Connect To Cluster    alias=b    kubeconfig={tmp_path}/with-plugin
    Get Objects    Pod    demo    cluster=b
Failing Plugin
    Connect To Cluster    alias=c    kubeconfig={tmp_path}/with-failing-plugin
Password
    Connect To Cluster    alias=d    kubeconfig={tmp_path}/with-password
Proxy
    Connect To Cluster    alias=e    kubeconfig={tmp_path}/with-proxy
""")
    out = tmp_path / "out"
    with open(tmp_path / "console", "w") as console:
        robot.run(
            str(suite), outputdir=str(out), loglevel="TRACE", variable=[f"KUBECONFIG:{kubeconfig}"], debugfile="debug.txt",
            xunit="xunit.xml", stdout=console, stderr=console, console="verbose",
        )  # fmt: skip
    shown = capfd.readouterr()
    texts = {file.name: file.read_text() for file in out.iterdir() if file.is_file()}
    texts |= {"console": (tmp_path / "console").read_text(), "stdout": shown.out, "stderr": shown.err}
    assert len(plant.planted) >= 12
    assert {name: leaks for name, text in texts.items() if (leaks := plant.leaks(text))} == {}
    # and the rest of the texts is still there
    assert "warned <secret>" in texts["console"]
    assert "could not log in with &lt;secret&gt;" in texts["output.xml"]
    assert "on purpose" in texts["output.xml"]
    assert '<status status="PASS"' in texts["output.xml"]


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("the token abcd1234 is wrong", "the token <secret> is wrong"),
        ("xabcd1234y", "xabcd1234y"),  # part of another word
        (base64.b64encode(b"abcd1234").decode(), "<secret>"),
        ("https://joe:abc@example.org/", "https://<secret>@example.org/"),
        ("https://example.org:80/a@b", "https://example.org:80/a@b"),
        ("Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl", "Bearer <secret>"),
        ("?token=aaaaaaaaaaaa&x=1", "?token=<secret>&x=1"),
        ("give password=${PASSWORD}", "give password=${PASSWORD}"),
        ("a bearer of news", "a bearer of news"),
        ("-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----.", "<secret>."),
    ],
)
def test_what_is_secret_is_hidden_and_nothing_else(text: str, hidden: str) -> None:
    secrets = Filter()
    secrets.learn("abcd1234")
    assert secrets.hide(text) == hidden


LONG = "Abcd1234-" + "x9Zq7-" * 60


@pytest.mark.parametrize("cut", ["...", "\N{HORIZONTAL ELLIPSIS}"])
@pytest.mark.parametrize("length", [4, 7, 20, 199])
def test_secret_that_was_cut_is_hidden_too(cut: str, length: int) -> None:
    secrets = Filter()
    secrets.learn(LONG)
    assert secrets.hide(f"${{x}} = {LONG[:length]}{cut}") == f"${{x}} = <secret>{cut}"
    assert secrets.hide(f"with {LONG[:length]}{cut}\nmore") == f"with <secret>{cut}\nmore"
    assert secrets.hide(f"{cut}{LONG[-length:]} was wrong") == f"{cut}<secret> was wrong"
    encoded = base64.b64encode(LONG.encode()).decode()
    assert secrets.hide(f"{{'data': '{encoded[:length]}{cut}") == f"{{'data': '<secret>{cut}"


@pytest.mark.parametrize(
    "text",
    ["and so on...", "Abc...", "a longer wordAbcd1234...", "... and the rest", "waiting...\nAbcd is here", "1...2...3"],
)
def test_cut_of_an_ordinary_text_is_left_alone(text: str) -> None:
    secrets = Filter()
    secrets.learn(LONG)
    assert secrets.hide(text) == text


def test_secrets_are_hidden_before_a_text_is_cut() -> None:
    from NetLibrary._mechanics import secrets

    secrets.learn(LONG)
    assert secrets.head(f"it said {LONG}", 40) == "it said <secret>"
    assert secrets.tail(f"{LONG} it said", 40) == "<secret> it said"


@pytest.mark.parametrize(
    "step",
    [
        "${x}    Set Variable    ${LONG}",
        "${x}    Set Variable    ${{'y' * 150 + $LONG}}",
        "@{x}    Create List    a    ${LONG}",
        "&{x}    Create Dictionary    a=${LONG}",
        "VAR    ${x}    ${LONG}",
        "FOR    ${x}    IN    ${LONG}\n        Log    1\n    END",
        "${x}    Evaluate    [$LONG, 1]",
        "Fail    ${{'\\n'.join(['line'] * 19 + ['word ' * 14 + $LONG + ' word' * 900])}}",
        "Fail    ${{'word ' * 900 + $LONG + ' word' * 150}}",
    ],
)
def test_robots_own_cuts_show_nothing_of_a_secret(tmp_path: Path, api: ApiServer, step: str) -> None:
    config = json.loads(api.kubeconfig(tmp_path / "base").read_text())
    long = "Tk9x-" + "Qw8eRt7y" * 120
    config["users"][0]["user"] = {"token": long}
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    (tmp_path / "suite.robot").write_text(
        f"*** Settings ***\nLibrary    NetLibrary\n*** Variables ***\n${{LONG}}    {long}\n*** Test Cases ***\n"
        f"Row\n    Run Keyword And Ignore Error    Connect To Cluster    kubeconfig={tmp_path}/kubeconfig\n    {step}\n"
    )
    with open(tmp_path / "console", "w") as console:
        robot.run(str(tmp_path / "suite.robot"), outputdir=str(tmp_path / "out"), loglevel="TRACE",
                  debugfile="debug.txt", xunit="xunit.xml", stdout=console, stderr=console)  # fmt: skip
    found = [file.name for file in [*(tmp_path / "out").iterdir(), tmp_path / "console"]
             if any(part in file.read_text() for part in (long[:5], long[-40:], "Qw8eRt7y"))]  # fmt: skip
    assert found == []


SPY = """
ROBOT_LISTENER_API_VERSION = {version}
def _keep(*given):
    with open({file!r}, "a") as out:
        out.write(repr([getattr(each, "message", each) for each in given]) + "\\n")
log_message = message = end_keyword = end_test = end_suite = start_keyword = _keep
"""


@pytest.mark.parametrize("version", [2, 3])
def test_no_other_listener_is_told_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    """Listeners of the command line, such as those of report servers, were asked before the library."""
    seen = tmp_path / "seen"
    (tmp_path / "spy.py").write_text(SPY.format(version=version, file=str(seen)))
    monkeypatch.setenv("SPY_TOKEN", "s3cr3t-of-listeners-Zq9x7")
    (tmp_path / "suite.robot").write_text(
        "*** Settings ***\nLibrary    NetLibrary\n*** Test Cases ***\nRow\n    Log    %{SPY_TOKEN}\n"
        "    ${x}    Set Variable    %{SPY_TOKEN}\n    Fail    refused with %{SPY_TOKEN}\n"
    )
    robot.run(str(tmp_path / "suite.robot"), outputdir=str(tmp_path / "out"), loglevel="TRACE", console="none",
              listener=[str(tmp_path / "spy.py")])  # fmt: skip
    assert "refused with <secret>" in seen.read_text()
    assert "s3cr3t-of-listeners" not in seen.read_text()


def test_ordinary_values_of_secrets_do_not_tear_holes_into_texts() -> None:
    secrets = Filter()
    values = {"namespace": "default", "flag": "true", "port": "8080", "username": "administrator", "word": "default"}
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    answer = {"kind": "Secret", "data": data}
    secrets.learn_answer(json.dumps(answer), answer)
    text = "default is true on 8080 for administrator"
    assert secrets.hide(text) == text
    assert secrets.hide(data["word"]) == "<secret>"


def test_only_secret_variables_of_the_environment_are_learnt() -> None:
    secrets = Filter()
    secrets.learn_environment(
        {"HOME": "/home/joe", "API_TOKEN": "tok-123456", "TOKEN_FILE": "/run/token", "USER": "someone"}
    )
    assert (
        secrets.hide("someone in /home/joe with tok-123456 of /run/token")
        == "someone in /home/joe with <secret> of /run/token"
    )


@pytest.mark.parametrize(
    "name", ["DB_PASS", "MYSQL_PWD", "SSH_PASSPHRASE", "SIGNING_KEY", "STORAGE_KEY", "DB_CONNECTION_STRING",
             "SLACK_WEBHOOK_URL", "db_pass", "CLIENT_KEY"],
)  # fmt: skip
def test_variable_of_the_environment_with_a_secret_name_is_learnt(name: str) -> None:
    secrets = Filter()
    secrets.learn_environment({name: "value-of-it"})
    assert secrets.hide("with value-of-it inside") == "with <secret> inside"
    other = Filter()
    environment = {"name": name, "value": "value-of-it"}
    other.learn_answer(json.dumps({"env": [environment]}))
    assert other.hide("with value-of-it inside") == "with <secret> inside"


@pytest.mark.parametrize("name", ["PWD", "COMPASS", "KEYBOARD", "BYPASS_MODE", "PASSENGER", "FILE_KEY", "WEBHOOK_PORT"])
def test_other_variables_of_the_environment_are_not_learnt(name: str) -> None:
    secrets = Filter()
    secrets.learn_environment({name: "/ordinary" if name == "PWD" else "ordinary"})
    assert secrets.hide("with /ordinary inside") == "with /ordinary inside"


def test_thousands_of_secrets_do_not_make_hiding_slow() -> None:
    import time

    secrets = Filter()
    for number in range(3000):
        secrets.learn(f"secret-value-{number:05d}-abcdef")
    text = "an ordinary line of a log with nothing secret in it\n" * 2000
    secrets.hide("x")
    begin = time.process_time()
    assert secrets.hide(text) == text
    assert time.process_time() - begin < 2.0


# --- other forms, and pieces ------------------------------------------------------------------------------------

LONG_TOKEN = "tok-Zq9x7LmN0pQrStUvWxYz12345-AbCdEfGh6789"


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(f"joe:{LONG_TOKEN}".encode()).decode(),
        base64.b64encode(f"user:{LONG_TOKEN}".encode()).decode(),
        base64.b64encode(f"{LONG_TOKEN}\n".encode()).decode(),
        base64.urlsafe_b64encode(b"\xff\xfe" + LONG_TOKEN.encode()).decode(),
        "\n".join(textwrap.wrap(base64.b64encode(LONG_TOKEN.encode() * 5).decode(), 76)),
        f"{LONG_TOKEN[:20]}\n{LONG_TOKEN[20:]}",
        f"the first half is {LONG_TOKEN[:22]}",
    ],
)
def test_pieces_of_a_secret_are_hidden(text: str) -> None:
    secrets = Filter()
    secrets.learn(LONG_TOKEN)
    hidden = secrets.hide(text)
    assert "<secret>" in hidden
    seen = [hidden[at : at + 8] for at in range(len(hidden) - 7) if "<" not in hidden[at : at + 8]]
    assert [piece for piece in seen if piece in LONG_TOKEN * 2] == []
    with contextlib.suppress(ValueError):
        assert LONG_TOKEN[:12].encode() not in base64.b64decode(hidden, validate=True)


@pytest.mark.parametrize("text", ["p%40ss%2fw%3crd%231", r"p@ss\/w<rd#1", r'{"a": "p@ss/w\u003crd#1"}'])
def test_secret_as_other_programs_write_it_is_hidden(text: str) -> None:
    secrets = Filter()
    secrets.learn("p@ss/w<rd#1")
    assert "ss" not in secrets.hide(text).replace("<secret>", "")


U = "Unk9nown-VALUE-0123"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Token {U}", f"{{'Authorization': '{U}'}}", f"X-Api-Key: {U}", f"x-auth-token: {U}",
        f"Cookie: session={U}", f"Set-Cookie: sid={U}; Path=/", f"token: {U}", f'"id-token": "{U}"',
        f"{{'password': '{U}'}}", f"login --token {U}", f"curl -u joe:{U} http://web",
        f"AWS_SECRET_ACCESS_KEY={U}", f"GET /x?sig={U}", f"http://joe:a@{U}@proxy:3128",
        f"the password is {U}", f"Your token is: '{U}', keep it", 'New password is "Tr0ub4dor&3".',
        f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n{U}\n-----END PGP PRIVATE KEY BLOCK-----",
    ],
)  # fmt: skip
def test_credential_that_nobody_has_told_of_is_known_by_its_place(text: str) -> None:
    hidden = Filter().hide(text)
    assert "<secret>" in hidden
    assert U not in hidden
    assert "Tr0ub4dor" not in hidden


def test_private_key_in_base64_is_hidden() -> None:
    for kind in ("", "EC ", "RSA ", "OPENSSH ", "ENCRYPTED "):
        encoded = base64.b64encode(f"-----BEGIN {kind}PRIVATE KEY-----\nMHcCAQEE".encode()).decode()
        assert Filter().hide(f"key: {encoded}") == "key: <secret>", kind
    certificate = base64.b64encode(b"-----BEGIN CERTIFICATE-----\nMIIB").decode()
    assert Filter().hide(certificate) == certificate


@pytest.mark.parametrize(
    "text",
    [
        "token: not valid any more", "password: missing", "Secret: demo/web-tls-2024-01", "secretName: registry-pull-1",
        "authorization: forbidden", "run -u 1000:1000 id", "imagePullSecrets: [{name: pull-2024-secret}]",
        "cookies: none", "--token is missing", "the password is missing", "token is invalid: 401", "the token is expired",
        "the api key is in-vault-2024-01", "secret is Web-Tls-2024", "password is ${PASSWORD1a}", "token is empty (line 12)", "http://10.0.0.1:80/a@b", "apiserver --authorization-mode=Node,RBAC",
    ],
)  # fmt: skip
def test_ordinary_words_beside_such_names_stay(text: str) -> None:
    assert Filter().hide(text) == text


def test_pieces_of_hosts_and_paths_are_no_secret() -> None:
    secrets = Filter()
    for value in ("/var/run/secrets/kubernetes.io/Account1", "Prod1.eu-central-1.rds.example.com", "a-plain-name-of-4"):
        secrets.learn(value)
    for text in ("/var/run/secrets/kubernetes.io/other", "db2.eu-central-1.rds.example.com", "a-plain-name-of-5"):
        assert secrets.hide(text) == text


# --- encodings within encodings -----------------------------------------------------------------------------------

VALUES = ("S3cr3t-&<\"'\u00e9%/+x", LONG_TOKEN, "hunter2222", "correct-horse-battery-staple-9")


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def escaped(text: str, form: str) -> str:
    return "".join(form.format(byte) for byte in text.encode())


ENCODINGS: dict[str, Callable[[str], str]] = {
    "base64 of base64": lambda value: b64(b64(value)),
    "base64 three times": lambda value: b64(b64(b64(value))),
    "base64 of a name and base64": lambda value: b64("joe:" + b64(value)),
    "base64 of JSON": lambda value: b64(json.dumps({"auth": value})),
    "base64 of a URL": lambda value: b64("x?y=" + quote(value, safe="")),
    "base64url without padding": lambda value: base64.urlsafe_b64encode(value.encode()).decode().rstrip("="),
    "base64 in a path": lambda value: f"/secrets/{b64(value)}/x",
    "hexadecimal": lambda value: value.encode().hex(),
    "hexadecimal, capitals": lambda value: value.encode().hex().upper(),
    "hexadecimal with colons": lambda value: value.encode().hex(":"),
    "hexadecimal with spaces": lambda value: value.encode().hex(" "),
    "hexadecimal in pairs": lambda value: value.encode().hex(" ", 2),
    "hexadecimal of a dump": lambda value: f"00000000: 3a20 {value.encode().hex(' ', 2)} 0a",
    "hexadecimal of C": lambda value: escaped(value, "0x{:02x}, "),
    "hexadecimal of base64": lambda value: b64(value).encode().hex(),
    "base64 of hexadecimal": lambda value: b64(value.encode().hex()),
    "decimal": lambda value: str(list(value.encode())),
    "every byte escaped": lambda value: escaped(value, "\\x{:02x}"),
    "every byte in a URL": lambda value: escaped(value, "%{:02X}"),
    "every character of JSON": lambda value: "".join(f"\\u{ord(each):04x}" for each in value),
    "every character of HTML": lambda value: "".join(f"&#{ord(each)};" for each in value),
    "URL in a URL": lambda value: quote(quote(value, safe=""), safe=""),
    "URL with slashes": quote,
    "JSON in JSON": lambda value: json.dumps(json.dumps(value)),
    "JSON in JSON in JSON": lambda value: json.dumps(json.dumps(json.dumps(value))),
    "Python's bytes": lambda value: repr([value.encode()]),
    "Python's text of a text": lambda value: repr(repr(value)),
    "HTML in HTML": lambda value: html.escape(html.escape(value)),
    "HTML of Go": lambda value: html.escape(value).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"),
    "shell": shlex.quote,
    "YAML": lambda value: str(yaml.safe_dump(value, default_style='"')),
    "CSV": lambda value: '"' + value.replace('"', '""') + '"',
}


@pytest.mark.parametrize("how", ENCODINGS)
@pytest.mark.parametrize("value", VALUES)
def test_secret_in_another_encoding_is_hidden(how: str, value: str) -> None:
    secrets = Filter()
    secrets.learn(value)
    hidden = secrets.hide(f"before {ENCODINGS[how](value)} after")
    assert "<secret>" in hidden
    assert hidden.startswith("before ")
    assert hidden.endswith(" after")
    assert secrets.hide(hidden) == hidden


@pytest.mark.parametrize(
    "text",
    [
        b64("an ordinary text in base64, as of a ConfigMap"), "container 8f2b1c7d9e00 of pod web-6d4b75cb6d-hfbs9",
        "sha256:" + "9f86d081884c7d65" * 4, "aa:bb:cc:dd:ee:ff and 02:42:ac:11:00:02", "10, 20, 30, 40, 50, 60, 70, 80",
        "%20%22plain%22", json.dumps(json.dumps({"kind": "Pod", "name": "web"})), "&lt;b&gt; &amp;&amp; 100 %",
        "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "fd00:10:244:0:0:1:2:3", "/var/lib/kubelet/pods/Y29uZmln/volumes",
    ],
)  # fmt: skip
def test_other_encoded_texts_stay(text: str) -> None:
    secrets = Filter()
    secrets.learn(*VALUES)
    assert secrets.hide(text) == text


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        (f"{LONG_TOKEN[:14]}", "<secret>"),
        (f"begins with {LONG_TOKEN[4:15]}, ends", "begins with <secret>, ends"),
        ("token-Zq9", "token-Zq9"),  # too short to be told from a word
    ],
)
def test_short_pieces_of_a_random_secret_are_hidden(text: str, hidden: str) -> None:
    secrets = Filter()
    secrets.learn(LONG_TOKEN)
    assert secrets.hide(text) == hidden


def test_words_of_a_secret_of_words_stay() -> None:
    secrets = Filter()
    secrets.learn("Production-Cluster-Password-2024-Frankfurt")
    text = "the Production in Frankfurt, Password-2024"
    assert secrets.hide(text) == text


def test_long_texts_with_many_escapes_are_hidden_soon() -> None:
    import time

    secrets = Filter()
    secrets.learn(*VALUES)
    text = "".join(
        f"line {number}: &quot;a%20b&quot; \\u00e9 aGVsbG8gd29ybGQ= {number:032x}\n" for number in range(5000)
    )
    begin = time.process_time()
    assert secrets.hide(text) == text
    assert time.process_time() - begin < 4.0
