# Read by every bash of the image (BASH_ENV): what only the node knows. What is set already, stays.
if compgen -G '/dev/infiniband/uverbs*' >/dev/null && [ -d /opt/amazon/efa ]; then
    export FI_PROVIDER="${FI_PROVIDER:-efa}" FI_EFA_USE_DEVICE_RDMA="${FI_EFA_USE_DEVICE_RDMA:-1}"
    export OMPI_MCA_mtl="${OMPI_MCA_mtl:-ofi}"
fi
# Hooks of your own: another image, or a volume, puts them here.
for hook in /etc/training/hooks.d/*.sh; do
    if [ -r "$hook" ]; then . "$hook"; fi
done
unset hook
