#!/usr/bin/env bash
# Shows the controller at work on this machine: a real API server, a simulated cloud, no account.
#
#   make demo           follows the changes until Ctrl-C
#   make demo ONCE=1    ends once every simulated pool is mirrored: with 0, else with the reason
#
# Everything it writes is in one directory under target/. That directory and every process are gone
# when this script is, however it ends.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=$root/target/debug
controlplane=$root/target/controlplane/controlplane
once=${ONCE:-0}
pools=12
terminal=0
[[ ! -t 1 ]] || terminal=1

dir=$(mktemp -d "$root/target/demo.XXXXXX")
touch "$dir/pids"

# The guard cleans up when the pipe that it reads ends, which only this script holds open: so it does
# even if this script is killed. Last started, first ended. (A zombie has no exe.)
exec 9> >(exec bash -c '
    trap "" HUP INT TERM
    read -r
    mapfile -t pids <"$1/pids"
    for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
        pid=${pids[i]%% *}
        kill "$pid" 2>/dev/null
        for ((tries = 0; tries < 150; tries++)); do
            [[ -e /proc/$pid/exe ]] || continue 2
            sleep 0.1
        done
        kill -9 "$pid" 2>/dev/null
    done
    rm -rf "$1"
' guard "$dir")
guard=$!

finish() {
    trap '' HUP INT TERM
    exec 9>&-
    wait "$guard" 2>/dev/null || true
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '\n==> %2ds  %s\n' "$SECONDS" "$*"; }

fail() {
    printf '\ndemo: %s\n' "$*" >&2
    tail -n 15 "$dir"/controller.log "$dir"/simulator.log >&2 2>/dev/null || true
    exit 1
}

# start NAME COMMAND...: runs it in the background and lets the guard know.
start() {
    (
        echo "$BASHPID $1" >>"$dir/pids"
        shift
        exec "$@" 9>&-
    ) </dev/null &
}

# Fails once a part of the demo has ended, or the program that started it, or its terminal is gone:
# make waits for us when it is hung up, without passing the signal on.
check() {
    local pid name parent
    while read -r pid name; do
        [[ $name == watch || -e /proc/$pid/exe ]] || fail "the $name ended by itself"
    done <"$dir/pids"
    read -r _ _ _ parent _ <"/proc/$$/stat"
    [[ $parent == "$PPID" ]] || fail "the program that started the demo is gone"
    ((!terminal)) || [[ -t 1 ]] || fail "the terminal is gone"
}

# await SECONDS WHAT COMMAND...: repeats the command until it succeeds.
await() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        check
        ((SECONDS < deadline)) || fail "not within the time allowed: $what"
        sleep 0.2
    done
}

# Neither proxies nor anything in the home directory change what these do.
kubectl() { env -i HOME="$dir" "$controlplane" kubectl --kubeconfig "$dir/kubeconfig" "$@"; }

say "etcd, API server and controller manager start"
start "control plane" "$controlplane" up --dir "$dir" --until-parent-dies >"$dir/ready"
await 120 "the control plane is ready" grep -q ready "$dir/ready"

say "the simulated cloud starts, with $pools pools"
life=3s
((!once)) || life=0
start simulator "$bin/modelarts-simulator" --listen 127.0.0.1:0 --pools "$pools" --seed 7 --life "$life" \
    >"$dir/simulator.json" 2>"$dir/simulator.log"
await 10 "the simulator listens" grep -q control "$dir/simulator.json"
IFS='"' read -r _ _ _ api _ _ _ control _ <"$dir/simulator.json"

say "the chart is installed, with a source in namespace demo, where its Secret is"
kubectl apply -f - <<YAML
apiVersion: v1
kind: Namespace
metadata:
  name: demo
---
apiVersion: v1
kind: Secret
metadata:
  name: huawei
  namespace: demo
stringData: # the simulator's own; they open nothing else
  accessKey: SIMULATORACCESSKEY01
  secretKey: simulatorSecretKeyThatOpensNothing000000
YAML
cat >"$dir/values.yaml" <<YAML
sources:
  - region: cn-north-4
    namespace: demo
    credentials:
      secretRef:
        name: huawei
    interval: 10s
    staleAfter: 1m
YAML
env -i HOME="$dir" "$root/target/tools/helm" --kubeconfig "$dir/kubeconfig" install modelarts-pool-controller \
    "$root/deploy/chart" --namespace modelarts-system --create-namespace --values "$dir/values.yaml" --hide-notes

say "the controller starts as the chart's ServiceAccount, since no node runs its pod; its log is $dir/controller.log"
cat >"$dir/controller.kubeconfig" <<YAML
apiVersion: v1
kind: Config
clusters:
  - name: demo
    cluster:
      server: $(kubectl config view --raw -o jsonpath='{.clusters[0].cluster.server}')
      certificate-authority-data: $(kubectl config view --raw -o jsonpath='{.clusters[0].cluster.certificate-authority-data}')
users:
  - name: modelarts-pool-controller
    user:
      token: $(kubectl create token modelarts-pool-controller -n modelarts-system --duration 24h)
contexts:
  - name: demo
    context: {cluster: demo, user: modelarts-pool-controller, namespace: modelarts-system}
current-context: demo
YAML
start controller env -i KUBECONFIG="$dir/controller.kubeconfig" "$bin/modelarts-pool-controller" \
    --endpoint-template "$api" --iam-endpoint-template "$api" --log-format text --admin-address 127.0.0.1:0 2>"$dir/controller.log"

# The names in the cloud, asked of the simulator's control address, and those mirrored.
simulated() { kubectl --server "$control" get --raw /fleet | grep -o '"name":"[^"]*"},"spec"' | cut -d'"' -f4 | sort; }
mirrored() { kubectl get modelartspools -n demo -o jsonpath='{range .items[*]}{.spec.poolName}{"\n"}{end}' | sort; }

is_ready() {
    local ready='{.status.conditions[?(@.type=="Ready")].status}'
    [[ $(kubectl get modelartspoolsource cn-north-4 -n demo -o jsonpath="$ready") == True ]]
}
is_complete() {
    local fleet
    fleet=$(simulated) && (($(wc -l <<<"$fleet") == pools)) && [[ $fleet == "$(mirrored)" ]]
}
await 60 "the source is Ready" is_ready
((!once)) || await 60 "every simulated pool is mirrored" is_complete

say "kubectl get modelartspoolsources,modelartspools -n demo"
kubectl get modelartspoolsources,modelartspools -n demo

if ((once)); then
    say "all $pools pools of the simulated cloud are mirrored"
    exit 0
fi

say "try these in another terminal"
echo "KUBECONFIG=$dir/kubeconfig $controlplane kubectl get modelartspools -n demo -o wide"
echo "curl $control   # how to change the simulated cloud, such as:"
echo "curl -X DELETE $control/fleet/$(mirrored | sed -n 1p)"

say "what changes from here on; Ctrl-C ends the demo"
trap 'exit 0' INT
watch=none
while check; do
    # The API server ends a watch after some time.
    if [[ ! -e /proc/$watch/exe ]]; then
        start watch env -i HOME="$dir" "$controlplane" kubectl --kubeconfig "$dir/kubeconfig" \
            get modelartspools -n demo --watch-only --output-watch-events
        watch=$!
    fi
    sleep 1
done
