# SPDX-License-Identifier: Apache-2.0
import re
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, field

from common.config import Settings, defaults, describe, json_schema, load, load_told, render
from common.config.settings import fields_of
from common.errors import ConfigError
from common.units import ByteSize, Duration


class Inner(Settings, frozen=True):
    max_age: Annotated[Duration, Meta(description="Oldest age")] = Duration(1)
    cap: ByteSize = ByteSize(64 * 2**20)
    shards: Annotated[int, Meta(ge=1, le=100, description="How many")] = 12
    mode: Literal["fast", "safe"] = "safe"
    ports: tuple[Annotated[int, Meta(ge=1, le=65535)], ...] = ()
    file: Path | None = None
    password: str = ""
    options: dict[str, str | int | float | bool] = field(default_factory=dict)

    def __post_init__(self):
        if self.mode == "fast" and self.shards > 50:
            raise ValueError("mode 'fast' allows at most 50 shards")


class Outer(Settings, frozen=True):
    name: Annotated[str, Meta(min_length=1)] = "host"
    verbose: bool = False
    ratio: float = 0.5
    kafka: Inner = Inner()


@pytest.fixture
def write(tmp_path):
    def write_file(text: str) -> Path:
        path = tmp_path / "w.toml"
        path.write_text(text)
        return path

    return write_file


def loads(*sets: str, **variables: str) -> Outer:
    return load(Outer, env_prefix="W", overrides=sets, environ=variables)


def refusal(*sets: str, path: Path | None = None, **variables: str) -> str:
    with pytest.raises(ConfigError) as error:
        load(Outer, path, env_prefix="W", overrides=sets, environ=variables)
    assert error.value.exit_code == 2
    return str(error.value)


def test_nothing_written_gives_the_defaults():
    assert load(Outer) == Outer()


def test_file_gives_values(write):
    path = write('name = "a"\n[kafka]\nmax-age = "200ms"\ncap = "1MB"\nports = [80, 443]\nfile = "ca.pem"\n')
    settings = load(Outer, path)
    assert settings.name == "a"
    assert settings.kafka == Inner(
        max_age=Duration(0.2), cap=ByteSize(10**6), ports=(80, 443), file=Path("ca.pem")
    )
    assert isinstance(settings.kafka.max_age, Duration)


def test_variable_wins_over_file_and_argument_over_both(write):
    path = write("[kafka]\nshards = 1\ncap = '1kB'\nmax-age = '1m'\n")
    settings = load(
        Outer,
        path,
        env_prefix="W",
        overrides=["kafka.shards=3"],
        environ={"W__KAFKA__SHARDS": "2", "W__KAFKA__MAX_AGE": "2m", "OTHER__NAME": "x", "W_NAME": "x"},
    )
    assert settings == Outer(kafka=Inner(shards=3, max_age=Duration(120), cap=ByteSize(1000)))


def test_text_becomes_the_type_of_its_field():
    settings = loads("verbose=true", "ratio=0.25", W__KAFKA__SHARDS="7")
    assert (settings.verbose, settings.ratio, settings.kafka.shards) == (True, 0.25, 7)


@pytest.mark.parametrize("text", ["80,443", "[80, 443]", " 80 , 443 "])
def test_list_in_text_is_with_commas_or_a_toml_array(text):
    assert loads(W__KAFKA__PORTS=text).kafka.ports == (80, 443)


def test_pass_through_table_takes_keys_with_dots_from_each_source(write):
    path = write('[kafka.options]\n"a.b" = 1\nc.d = true\n')
    settings = load(
        Outer,
        path,
        env_prefix="W",
        overrides=["kafka.options.e.f=x"],
        environ={"W__KAFKA__OPTIONS__G_H": "y"},
    )
    assert settings.kafka.options == {"a.b": 1, "c.d": True, "e.f": "x", "g.h": "y"}


def test_unknown_key_names_file_path_and_the_key_that_was_meant(write):
    path = write("[kafka]\nshard = 3\n")
    assert refusal(path=path) == (
        f"{path}: kafka.shard: there is no 'shard' (did you mean 'shards'?); "
        "allowed here: max-age, cap, shards, mode, ports, file, password, options"
    )


def test_underscore_in_a_file_is_told_the_key_with_a_dash(write):
    assert "did you mean 'max-age'?" in refusal(path=write("[kafka]\nmax_age = '1s'\n"))


def test_every_unknown_key_is_told_at_once(write):
    message = refusal("nam=x", path=write("[kafak]\na = 1\n"), W__KAFKA__CUP="1")
    assert [line.split(": ")[0] for line in message.splitlines()][1:] == ["W__KAFKA__CUP", "--set nam"]
    assert "did you mean 'kafka'?" in message


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("kafka.shards=twelve", "found 'twelve'; allowed is a whole number >= 1 <= 100"),
        ("name=", "found ''; allowed is text that is not empty"),
        ("kafka.shards=0", "found '0'; allowed is a whole number >= 1 <= 100"),
        ("kafka.mode=quick", "found 'quick'; allowed is one of fast, safe"),
        ("verbose=maybe", "found 'maybe'; allowed is true or false"),
        ("ratio=much", "found 'much'; allowed is a number"),
        ("kafka.cap=64", "found '64'; allowed is a size such as 64MiB"),
        ("kafka.max-age=1 year", "found '1 year'; allowed is a duration such as 10s"),
        ("kafka=3", "found '3'; this is a section, set one key of it"),
        ("kafka.options=3", "found '3'; this is a section, set one key of it"),
        ("name.first=x", "'name' is no section; allowed is text that is not empty"),
        ("kafka.password.x=hunter2", "'password' is no section; allowed is text"),
    ],
)
def test_bad_value_names_source_path_found_and_allowed(override, message):
    path = override.split("=")[0]
    assert refusal(override) == f"--set {path}: {path}: {message}"


def test_bad_list_says_which_entry_is_wrong():
    message = refusal(W__KAFKA__PORTS="80,99999")
    assert message.startswith(
        "W__KAFKA__PORTS: kafka.ports[1]: found ['80', '99999']; allowed is a list, each"
    )
    assert "<= 65535" in message


def test_broken_toml_array_in_text_is_refused():
    assert refusal(W__KAFKA__PORTS="[80") == (
        "W__KAFKA__PORTS: found '[80'; allowed is a list, each a whole number >= 1 <= 65535"
    )


def test_number_where_a_duration_belongs_is_refused(write):
    message = refusal(path=write("[kafka]\nmax-age = 10\n"))
    assert "kafka.max-age: found 10; allowed is a duration such as 10s" in message


def test_fields_that_do_not_go_together_name_every_source(write):
    path = write("[kafka]\nshards = 60\n")
    assert refusal("kafka.mode=fast", path=path) == (
        f"--set kafka.mode, {path}: kafka: mode 'fast' allows at most 50 shards"
    )


def test_missing_file_and_broken_toml_are_refused_with_the_path(write, tmp_path):
    assert "No such file" in refusal(path=tmp_path / "none.toml")
    broken = write("[kafka\n")
    assert refusal(path=broken).startswith(f"{broken}: is no valid TOML: ")


@pytest.mark.parametrize("override", ["kafka.shards", "=3", "shards 3"])
def test_override_without_key_and_value_is_refused(override):
    assert "allowed is section.key=value" in refusal(override)


def test_defaults_survive_being_written_and_read(write):
    assert load(Outer, write(render(Outer()))) == Outer()


@given(
    name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    ratio=st.floats(allow_nan=False, allow_infinity=False),
    cap=st.integers(0, 2**62),
    milliseconds=st.integers(0, 10**9),
    ports=st.lists(st.integers(1, 65535)),
    options=st.dictionaries(
        st.from_regex(r"[a-z][a-z.]{0,9}[a-z]", fullmatch=True), st.integers() | st.text("ab")
    ),
)
def test_any_settings_survive_being_written_and_read(
    name, ratio, cap, milliseconds, ports, options, tmp_path_factory
):
    options = {key: value for key, value in options.items() if not key.endswith(("pem", "token", "secret"))}
    inner = Inner(
        cap=ByteSize(cap), max_age=Duration(milliseconds / 1000), ports=tuple(ports), options=options
    )
    path = tmp_path_factory.mktemp("render") / "w.toml"
    path.write_text(render(Outer(name=name, ratio=ratio, kafka=inner)), encoding="utf-8")
    assert load(Outer, path) == Outer(name=name, ratio=ratio, kafka=inner)


def test_render_masks_secrets_and_shows_what_is_not_set():
    text = render(Outer(kafka=Inner(password="hunter2", options={"ssl.key.password": "hunter3"})))
    assert "hunter" not in text
    assert 'password = "***"' in text
    assert "# file is not set" in text


def test_refused_secret_is_not_shown():
    assert "hunter2" not in refusal("kafka.password.x=hunter2")


def test_describe_has_a_row_for_each_setting():
    lines = describe(Outer, "W").splitlines()
    assert '| `kafka.max-age` | `W__KAFKA__MAX_AGE` | a duration such as 10s | `"1s"` | Oldest age |' in lines
    assert '| `kafka.mode` | `W__KAFKA__MODE` | one of fast, safe | `"safe"` |  |' in lines
    assert len(lines) == 2 + 11


def test_where_each_setting_comes_from_stands_behind_it(write):
    path = write("[kafka]\nshards = 3\ncap = '1kB'\n[kafka.options]\n'a.b' = 1\n")
    settings, origins = load_told(
        Outer, path, env_prefix="W", overrides=["kafka.password=hunter2"], environ={"W__KAFKA__CAP": "2kB"}
    )
    lines = render(settings, origins).splitlines()
    assert f"shards = 3  # {path}" in lines
    assert 'cap = "2kB"  # W__KAFKA__CAP' in lines
    assert 'password = "***"  # --set kafka.password' in lines
    assert f'"a.b" = 1  # {path}' in lines
    assert 'max-age = "1s"  # default' in lines
    assert "# file is not set" in lines


def test_text_with_origins_is_read_back_to_the_same(write):
    settings, origins = load_told(Outer, overrides=["kafka.ports=80,443", "name=# a"])
    assert load(Outer, write(render(settings, origins))) == settings


def test_defaults_are_explained_commented_out_and_true(write):
    text = defaults(Outer)
    assert load(Outer, write(text)) == Outer()
    assert '# Oldest age. Allowed: a duration such as 10s\n#max-age = "1s"\n' in text
    settings = re.sub(r"^#(?! )", "", text, flags=re.MULTILINE)
    assert load(Outer, write(settings)) == Outer()
    assert {line.split(" = ")[0] for line in settings.splitlines() if " = " in line} >= {
        "name",
        "shards",
        "ports",
    }
    assert "\n[kafka.options]\n" in text


def test_schema_has_each_setting_its_limits_and_its_default():
    kafka = json_schema(Outer, "w")["properties"]["kafka"]
    assert kafka["additionalProperties"] is False
    found = kafka["properties"]
    assert set(found) == set(fields_of(Inner))
    assert found["shards"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 100,
        "description": "How many",
        "default": 12,
    }
    assert (found["max-age"]["type"], found["max-age"]["default"]) == ("string", "1s")
    assert found["mode"]["enum"] == ["fast", "safe"]
    assert found["ports"]["items"] == {"type": "integer", "minimum": 1, "maximum": 65535}
    assert found["file"] == {"type": "string"}


@pytest.mark.parametrize(
    "text", ["10s", "1.5h", "200 ms", "3µs", "0", "0.0", "1", "s", "1x", "", "-1s", " 1d "]
)
def test_schema_takes_the_durations_that_are_read(text):
    pattern = json_schema(Outer, "w")["properties"]["kafka"]["properties"]["max-age"]["pattern"]
    assert bool(re.search(pattern, text)) == _read(Duration, text)


@pytest.mark.parametrize("text", ["64MiB", "1kB", "2 TB", "7B", "0", "1KB", "1k", "1Mib", "5", "MiB"])
def test_schema_takes_the_sizes_that_are_read(text):
    pattern = json_schema(Outer, "w")["properties"]["kafka"]["properties"]["cap"]["pattern"]
    assert bool(re.search(pattern, text)) == _read(ByteSize, text)


def _read(kind, text: str) -> bool:
    try:
        kind.parse(text)
    except ValueError:
        return False
    return True
