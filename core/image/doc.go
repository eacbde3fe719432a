// Package image keeps the images of a VCH: it is Docker's own image service (docker/docker's
// daemon/containerd.ImageService on containerd's libraries) in this process, without a containerd
// daemon. Compressed blobs and metadata lie under Options.Root on the state disk; unpacked layers go
// to the storage driver (sdk/storage), one layer there for every layer that holds a file.
//
// Three things are ours: a snapshotter whose snapshots are storage layers and which never mounts
// anything, an applier that streams a layer's tar into storage.WriteLayer, and the garbage
// collection that keeps the layers of containers (Hold).
//
// The core/engine package uses Service without seeing a type of Docker's; core/dockerapi hands
// Service.Backend to Docker's image router.
package image
