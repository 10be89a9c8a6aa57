# shellcheck shell=sh
# The servers that the tests need; read by script/test, which has `say`.
#
# Of each: the one that a variable names, else a private one of the installed programs, which the tests start
# themselves; else, as root, those are installed first; else a container, which the variable names from then on.

has_rabbitmq() { [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || command -v rabbitmq-server >/dev/null; }

has_redis() { command -v redis-server >/dev/null; }

# Distributions keep the programs of the server out of the PATH, and may have installed only the client's.
has_postgres() {
    for directory in "$(pg_config --bindir 2>/dev/null)" /usr/lib/postgresql/*/bin; do
        if [ -x "$directory/initdb" ] && [ -x "$directory/postgres" ]; then return; fi
    done
    command -v initdb >/dev/null && command -v postgres >/dev/null
}

install_rabbitmq() { install_packages rabbitmq-server; }

install_redis() { install_packages redis-server; }

install_postgres() {
    install_packages postgresql-common || return
    # Debian shall not make a database cluster of its own, now; later it is as it was.
    (
        defaults=/etc/postgresql-common/createcluster.conf
        cp -p "$defaults" "$defaults.before" || exit
        trap 'mv "$defaults.before" "$defaults"' EXIT
        trap 'exit 130' INT TERM
        echo "create_main_cluster = false" >>"$defaults"
        install_packages postgresql
    )
}

contain_rabbitmq() {
    start_container --publish 127.0.0.1::5672 --publish 127.0.0.1::15672 rabbitmq:4-management || return
    wait_until_it_answers rabbitmq-diagnostics --quiet check_port_connectivity || return
    EVENTBUS_TEST_AMQP_URL=amqp://guest:guest@$(address 5672)/
    EVENTBUS_TEST_MANAGEMENT_URL=http://$(address 15672)
    export EVENTBUS_TEST_AMQP_URL EVENTBUS_TEST_MANAGEMENT_URL
}

contain_postgres() {
    start_container --publish 127.0.0.1::5432 --env POSTGRES_PASSWORD=eventbus postgres:17 || return
    # By TCP: the server that only prepares the data has none.
    wait_until_it_answers pg_isready --quiet --host=127.0.0.1 || return
    EVENTBUS_TEST_POSTGRES_URL=postgresql://postgres:eventbus@$(address 5432)/postgres
    export EVENTBUS_TEST_POSTGRES_URL
}

contain_redis() {
    start_container --publish 127.0.0.1::6379 redis:7 || return
    wait_until_it_answers redis-cli ping || return
    EVENTBUS_TEST_REDIS_URL=redis://$(address 6379)/0
    export EVENTBUS_TEST_REDIS_URL
}

# provide rabbitmq EVENTBUS_TEST_AMQP_URL "$EVENTBUS_TEST_AMQP_URL"
provide() {
    if [ -n "$3" ]; then
        say "$1: the one of $2"
    elif "has_$1" || { may_install && "install_$1" && "has_$1"; }; then
        say "$1: a private one of the installed programs"
    elif find_engine && "contain_$1"; then
        say "$1: a container, by $engine"
    else
        say "there is no $1 to test with: install its server, start docker or podman, or point $2 at one"
        exit 1
    fi
}

may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

lists=
install_packages() {
    say "installing $*"
    if [ -z "$lists" ]; then
        apt-get update -qq >&2 || say "apt-get update failed; going on with the lists there are"
        lists=updated
    fi
    # Run level 1: Debian shall not start a server of its own.
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes \
        apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}

engine=
find_engine() {
    for engine in docker podman; do
        if timeout 10 "$engine" info >/dev/null 2>&1; then return; fi
    done
    return 1
}

containers=
start_container() {
    container=$("$engine" run --detach --rm "$@") || return
    containers="$containers $container"
    trap remove_containers EXIT
    trap 'exit 130' INT TERM
}

remove_containers() {
    for container in $containers; do "$engine" rm --force "$container" >/dev/null; done
}

wait_until_it_answers() {
    tries=60
    until "$engine" exec "$container" "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return
        sleep 1
    done
}

address() { "$engine" port "$container" "$1"; }
