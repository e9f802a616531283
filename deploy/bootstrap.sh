#!/usr/bin/env bash
# Installs the job's Python environment and the certificates of RDS's authorities on a node of the cluster, from the
# artifact on S3 and from nowhere else.
#
#   bootstrap.sh s3://bucket/stocketl/1.2.3 [folder]      folder: /opt/stocketl if not given
#
# Every wheel is checked against the hash in requirements.txt. May be run again: an environment that is whole stays, one
# that was cut off is made anew. EMR ends a cluster whose bootstrap fails and keeps what this prints in its logs.
set -euo pipefail

readonly PYTHON=${STOCKETL_PYTHON:-/usr/bin/python3.11} # of emr-spark-8.1.0; Spark's own Python too

fail() {
    echo "bootstrap.sh: $*" >&2
    exit 1
}

# Makes a folder that the caller may write to: as root where the caller may not (on EMR: the user hadoop, with sudo).
own() {
    if ! mkdir -p "$1" 2>/dev/null || [[ ! -w $1 ]]; then
        sudo mkdir -p "$1" || fail "cannot make the folder $1"
        sudo chown "$(id -u):$(id -g)" "$1" || fail "cannot take over the folder $1"
    fi
}

main() {
    [[ $# -ge 1 && $1 == s3://*/* ]] || fail "expected the artifact's place, s3://bucket/stocketl/version; got: ${*:-nothing}"
    local artifact=${1%/} home=${2:-/opt/stocketl}
    local venv=$home/venv fetched=$home/artifact

    [[ -x $PYTHON ]] || fail "there is no $PYTHON on this node; is the release of cluster.json another one?"
    command -v aws >/dev/null || fail "there is no aws command on this node"
    own "$home"

    rm -rf "$fetched"
    mkdir -p "$fetched/wheels"
    aws s3 cp --only-show-errors "$artifact/requirements.txt" "$fetched/requirements.txt" ||
        fail "cannot read $artifact/requirements.txt; was that version uploaded, and may the instance profile read it?"
    aws s3 cp --only-show-errors "$artifact/rds-ca.pem" "$fetched/rds-ca.pem" || fail "cannot read $artifact/rds-ca.pem"
    mv "$fetched/rds-ca.pem" "$home/rds-ca.pem"
    if [[ -x $venv/bin/python ]] && cmp -s "$fetched/requirements.txt" "$venv/requirements.txt"; then
        echo "$venv has these packages already"
    else
        aws s3 cp --only-show-errors --recursive "$artifact/wheels/" "$fetched/wheels/" ||
            fail "cannot read $artifact/wheels/"
        rm -rf "$venv"
        "$PYTHON" -m venv "$venv" || fail "cannot make $venv with $PYTHON"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-index \
            --find-links "$fetched/wheels" --require-hashes --no-deps --requirement "$fetched/requirements.txt" ||
            fail "pip could not install the wheels of $artifact; what it says stands above"
        cp "$fetched/requirements.txt" "$venv/requirements.txt" # the last thing: what has it is whole
    fi
    rm -rf "$fetched"
    chmod -R a+rX "$home" # executors run as another user than this script
    echo "$venv is ready"
}

main "$@"
