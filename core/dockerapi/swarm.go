package dockerapi

import (
	"context"
	"errors"

	"github.com/docker/docker/api/types/backend"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/errdefs"
)

// noSwarm answers for a node that is in no swarm, in Docker's words.
type noSwarm struct{}

const noCluster = "vSphere makes a cluster of the hosts"

func errNoSwarm() error {
	return errdefs.Unavailable(errors.New(`This node is not a swarm manager. ` + //nolint:staticcheck // Docker's text
		`Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.`))
}

func (noSwarm) Info(context.Context) swarm.Info {
	return swarm.Info{LocalNodeState: swarm.LocalNodeStateInactive}
}
func (noSwarm) Init(swarm.InitRequest) (string, error) {
	return "", refused("docker swarm init", noCluster)
}
func (noSwarm) Join(swarm.JoinRequest) error                       { return refused("docker swarm join", noCluster) }
func (noSwarm) Leave(context.Context, bool) error                  { return errNoSwarm() }
func (noSwarm) Inspect() (swarm.Swarm, error)                      { return swarm.Swarm{}, errNoSwarm() }
func (noSwarm) Update(uint64, swarm.Spec, swarm.UpdateFlags) error { return errNoSwarm() }
func (noSwarm) GetUnlockKey() (string, error)                      { return "", errNoSwarm() }
func (noSwarm) UnlockSwarm(swarm.UnlockRequest) error              { return errNoSwarm() }
func (noSwarm) GetServices(swarm.ServiceListOptions) ([]swarm.Service, error) {
	return nil, errNoSwarm()
}
func (noSwarm) GetService(string, bool) (swarm.Service, error) { return swarm.Service{}, errNoSwarm() }
func (noSwarm) CreateService(swarm.ServiceSpec, string, bool) (*swarm.ServiceCreateResponse, error) {
	return nil, errNoSwarm()
}
func (noSwarm) UpdateService(string, uint64, swarm.ServiceSpec, swarm.ServiceUpdateOptions, bool) (*swarm.ServiceUpdateResponse, error) {
	return nil, errNoSwarm()
}
func (noSwarm) RemoveService(string) error { return errNoSwarm() }
func (noSwarm) ServiceLogs(context.Context, *backend.LogSelector, *container.LogsOptions) (<-chan *backend.LogMessage, error) {
	return nil, errNoSwarm()
}
func (noSwarm) GetNodes(swarm.NodeListOptions) ([]swarm.Node, error) { return nil, errNoSwarm() }
func (noSwarm) GetNode(string) (swarm.Node, error)                   { return swarm.Node{}, errNoSwarm() }
func (noSwarm) UpdateNode(string, uint64, swarm.NodeSpec) error      { return errNoSwarm() }
func (noSwarm) RemoveNode(string, bool) error                        { return errNoSwarm() }
func (noSwarm) GetTasks(swarm.TaskListOptions) ([]swarm.Task, error) { return nil, errNoSwarm() }
func (noSwarm) GetTask(string) (swarm.Task, error)                   { return swarm.Task{}, errNoSwarm() }
func (noSwarm) GetSecrets(swarm.SecretListOptions) ([]swarm.Secret, error) {
	return nil, errNoSwarm()
}
func (noSwarm) CreateSecret(swarm.SecretSpec) (string, error)       { return "", errNoSwarm() }
func (noSwarm) RemoveSecret(string) error                           { return errNoSwarm() }
func (noSwarm) GetSecret(string) (swarm.Secret, error)              { return swarm.Secret{}, errNoSwarm() }
func (noSwarm) UpdateSecret(string, uint64, swarm.SecretSpec) error { return errNoSwarm() }
func (noSwarm) GetConfigs(swarm.ConfigListOptions) ([]swarm.Config, error) {
	return nil, errNoSwarm()
}
func (noSwarm) CreateConfig(swarm.ConfigSpec) (string, error)       { return "", errNoSwarm() }
func (noSwarm) RemoveConfig(string) error                           { return errNoSwarm() }
func (noSwarm) GetConfig(string) (swarm.Config, error)              { return swarm.Config{}, errNoSwarm() }
func (noSwarm) UpdateConfig(string, uint64, swarm.ConfigSpec) error { return errNoSwarm() }

// noSwarmVolumes answers for the volumes of a swarm.
type noSwarmVolumes struct{}

func (noSwarmVolumes) GetVolume(string) (volume.Volume, error) { return volume.Volume{}, errNoSwarm() }
func (noSwarmVolumes) GetVolumes(volume.ListOptions) ([]*volume.Volume, error) {
	return nil, errNoSwarm()
}
func (noSwarmVolumes) CreateVolume(volume.CreateOptions) (*volume.Volume, error) {
	return nil, errNoSwarm()
}
func (noSwarmVolumes) RemoveVolume(string, bool) error { return errNoSwarm() }
func (noSwarmVolumes) UpdateVolume(string, uint64, volume.UpdateOptions) error {
	return errNoSwarm()
}
func (noSwarmVolumes) IsManager() bool { return false }

// noSwarmNetworks answers for the networks of a swarm.
type noSwarmNetworks struct{}

func (noSwarmNetworks) GetNetworks(filters.Args) ([]network.Inspect, error) { return nil, errNoSwarm() }
func (noSwarmNetworks) GetNetwork(string) (network.Inspect, error) {
	return network.Inspect{}, errNoSwarm()
}
func (noSwarmNetworks) GetNetworksByName(string) ([]network.Inspect, error) {
	return nil, errNoSwarm()
}
func (noSwarmNetworks) CreateNetwork(network.CreateRequest) (string, error) { return "", errNoSwarm() }
func (noSwarmNetworks) RemoveNetwork(string) error                          { return errNoSwarm() }
