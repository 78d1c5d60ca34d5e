#!/usr/bin/env bash
# A Slurm cluster with one node on this machine and simulated GPUs, for tests. Debian or Ubuntu, as root; systemd is not needed.
#   slurm_local.sh install    install Debian's packages without starting their daemons
#   slurm_local.sh up         start munged, slurmctld and slurmd, without accounting
#   slurm_local.sh env        print the variables for using the cluster: eval "$(slurm_local.sh env)"
#   slurm_local.sh logs       print the end of every daemon's log
#   slurm_local.sh down       cancel all jobs, stop the daemons, remove the cluster's folder
# Partitions: cpu (default), gpu, and urgent, whose jobs preempt (and requeue) jobs of the others.
set -euo pipefail
FOLDER=${SLURM_LOCAL_DIR:-/tmp/slurm-local} PORT=${SLURM_LOCAL_PORT:-16817}
CPUS=${SLURM_LOCAL_CPUS:-4} MEMORY=${SLURM_LOCAL_MEM_MB:-16000} GPUS=${SLURM_LOCAL_GPUS:-2}
HOST=$(hostname -s)
export SLURM_CONF=$FOLDER/slurm.conf

install() {
  # While this file exists, packages start no daemons.
  local policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
    trap "rm -f $policy" EXIT
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge >/dev/null
}

configure() {
  mkdir -p "$FOLDER"/{bin,dev,log,munge,run,spool,state}
  chmod 755 "$FOLDER" "$FOLDER/munge"
  # Slurm sets CUDA_VISIBLE_DEVICES for GPUs that have a device file.
  for gpu in $(seq 0 $((GPUS - 1))); do ln -sfn /dev/null "$FOLDER/dev/nvidia$gpu"; done
  cat >"$FOLDER/gres.conf" <<END
AutoDetect=off
NodeName=localhost Name=gpu Type=fake File=$FOLDER/dev/nvidia[0-$((GPUS - 1))]
END
  cat >"$SLURM_CONF" <<END
ClusterName=local
SlurmctldHost=$HOST(127.0.0.1)
SlurmctldPort=$PORT
SlurmdPort=$((PORT + 1))
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$FOLDER/munge/socket
CryptoType=crypto/munge
StateSaveLocation=$FOLDER/state
SlurmdSpoolDir=$FOLDER/spool
SlurmctldPidFile=$FOLDER/run/slurmctld.own.pid
SlurmdPidFile=$FOLDER/run/slurmd.own.pid
SlurmctldLogFile=$FOLDER/log/slurmctld.log
SlurmdLogFile=$FOLDER/log/slurmd.log
AccountingStorageType=accounting_storage/none
# Use nothing that a container may forbid: no cgroups, no raised limits.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
PropagateResourceLimits=NONE
# A job beyond its memory is killed within a second.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
KillWait=20
MinJobAge=600
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=2,sched_min_interval=100000
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
SlurmdParameters=config_overrides
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=localhost NodeAddr=127.0.0.1 NodeHostname=$HOST CPUs=$CPUS RealMemory=$MEMORY Gres=gpu:fake:$GPUS State=UNKNOWN
PartitionName=cpu Nodes=localhost Default=YES MaxTime=1-0 State=UP
PartitionName=gpu Nodes=localhost MaxTime=1-0 State=UP
PartitionName=urgent Nodes=localhost MaxTime=1-0 PriorityTier=10 State=UP
END
  # Snakemake's job step removes all SLURM_ variables before it calls srun, including the path of the configuration.
  printf '#!/bin/sh\nSLURM_CONF=%s exec %s "$@"\n' "$SLURM_CONF" "$(PATH=${PATH//$FOLDER\/bin:/} command -v srun)" >"$FOLDER/bin/srun"
  chmod +x "$FOLDER/bin/srun"
}

start() { # NAME COMMAND...
  setsid "${@:2}" >>"$FOLDER/log/$1.out" 2>&1 </dev/null &
  echo $! >"$FOLDER/run/$1.pid"
}

wait_for() { # COMMAND...: within 20 seconds
  for _ in $(seq 100); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.2
  done
  logs
  echo "slurm_local.sh: not up after 20 seconds: $*" >&2
  return 1
}

ready() { sinfo -h -o %T | grep -qxE 'idle|mixed|allocated'; }

up() {
  [ "$(id -u)" = 0 ] || { echo "slurm_local.sh: needs root" >&2; exit 2; }
  [ ! -e "$FOLDER" ] || { echo "slurm_local.sh: $FOLDER exists; slurm_local.sh down removes it" >&2; exit 2; }
  configure
  (umask 077 && head -c 128 /dev/urandom >"$FOLDER/munge/key")
  start munged munged --foreground --force --key-file="$FOLDER/munge/key" --socket="$FOLDER/munge/socket" \
    --pid-file="$FOLDER/run/munged.own.pid" --log-file="$FOLDER/log/munged.log" --seed-file="$FOLDER/munge/seed"
  wait_for munge -n -S "$FOLDER/munge/socket"
  start slurmctld slurmctld -D -c
  wait_for scontrol ping
  start slurmd slurmd -D -N localhost
  wait_for ready
}

stop() { # NAME
  local pid
  pid=$(cat "$FOLDER/run/$1.pid" 2>/dev/null) || return 0
  kill "$pid" 2>/dev/null || return 0
  for _ in $(seq 50); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL "$pid" 2>/dev/null || true
}

down() {
  # Killed at once, because a job with time to finish would outlive its cluster.
  timeout 10 scancel --full --signal=KILL --user="$(id -un)" 2>/dev/null || true
  timeout 10 scancel --user="$(id -un)" 2>/dev/null || true
  sleep 1
  for name in slurmd slurmctld munged; do stop $name; done
  rm -rf "$FOLDER"
}

logs() { tail -n 20 "$FOLDER"/log/*; }

case "${1:-}" in
install | up | down | logs) "$1" ;;
env) echo "export SLURM_CONF=$SLURM_CONF PATH=$FOLDER/bin:\$PATH" ;;
*)
  sed -n '2,8s/^# //p' "$0"
  exit 2
  ;;
esac
