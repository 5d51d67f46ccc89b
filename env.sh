# Gives a shell the environment of this checkout:  . ./env.sh
# Works in sh, bash, dash (from the checkout's root) and zsh.

if [ -n "${BASH_SOURCE:-}" ]; then
    _asr_root=$(cd "$(dirname "${BASH_SOURCE}")" && pwd)
elif [ -n "${ZSH_VERSION:-}" ]; then
    _asr_root=$(cd "$(dirname "${(%):-%x}")" && pwd)
else
    _asr_root=$PWD
fi

if [ ! -f "$_asr_root/install/.complete.json" ] || [ ! -x "$_asr_root/.venv/bin/python" ]; then
    echo "env.sh: $_asr_root is not built yet: run make build there" >&2
else
    if grep -q '"ros": "wheels"' "$_asr_root/install/.complete.json"; then
        # Same as what the wheels' own start-up hook sets, but without its second start of Python.
        AMENT_PREFIX_PATH=$_asr_root/.venv
        PYTHONPATH=$(echo "$_asr_root"/.venv/lib/python3.*/site-packages)
        LD_LIBRARY_PATH=$_asr_root/.venv/lib
        for _asr_libs in "$_asr_root"/.venv/lib/python3.*/site-packages/ros_*.libs; do
            [ -d "$_asr_libs" ] && LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$_asr_libs
        done
        _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
        XLEROBOT_ASR_ENV=wheels
        export AMENT_PREFIX_PATH PYTHONPATH LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE \
            XLEROBOT_ASR_ENV
        unset _asr_libs
    fi
    # The hooks of colcon test variables that may be unset.
    case $- in *u*) _asr_nounset=1; set +u ;; *) _asr_nounset= ;; esac
    COLCON_CURRENT_PREFIX=$_asr_root/install
    . "$_asr_root/install/local_setup.sh"
    unset COLCON_CURRENT_PREFIX
    [ -n "$_asr_nounset" ] && set -u
    unset _asr_nounset
    # The middleware's profile of the default names (docs/loans.md), unless somebody has another.
    case ${FASTRTPS_DEFAULT_PROFILES_FILE:-${FASTDDS_DEFAULT_PROFILES_FILE:-}} in
    '' | "$_asr_root/config/fastdds.xml")
        XLEROBOT_ASR_ZERO_COPY=${XLEROBOT_ASR_ZERO_COPY:-data_sharing}
        FASTRTPS_DEFAULT_PROFILES_FILE=$_asr_root/config/fastdds.xml
        FASTDDS_DEFAULT_PROFILES_FILE=$FASTRTPS_DEFAULT_PROFILES_FILE
        RMW_FASTRTPS_USE_QOS_FROM_XML=0
        [ "$XLEROBOT_ASR_ZERO_COPY" = data_sharing ] && RMW_FASTRTPS_USE_QOS_FROM_XML=1
        export XLEROBOT_ASR_ZERO_COPY FASTRTPS_DEFAULT_PROFILES_FILE \
            FASTDDS_DEFAULT_PROFILES_FILE RMW_FASTRTPS_USE_QOS_FROM_XML
        ;;
    esac
    PATH=$_asr_root/install/xlerobot_asr_opt/lib/xlerobot_asr_opt:$_asr_root/.venv/bin:$PATH
    export PATH
fi
unset _asr_root
