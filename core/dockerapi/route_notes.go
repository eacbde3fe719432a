package dockerapi

import "slices"

// routeNote is what a route's code does not say. Whether it works stands here for no route: the page
// docs/docker-api.md is made by calling each (routes_test.go), and a refusal's reason is its answer.
type routeNote struct{ route, since, command, difference string }

func routeNotes() []routeNote {
	return slices.Concat(containerNotes(), execNotes(), imageNotes(), networkNotes(), volumeNotes(), systemNotes(), buildNotes(), pluginNotes(), swarmNotes())
}

const inVM = "the container is a VM: "

func containerNotes() []routeNote {
	return []routeNote{
		{"HEAD /containers/{name:.*}/archive", "1.24", "docker cp", ""},
		{"GET /containers/json", "1.24", "docker ps", ""},
		{"GET /containers/{name:.*}/export", "1.24", "docker export", ""},
		{"GET /containers/{name:.*}/changes", "1.24", "docker diff", ""},
		{"GET /containers/{name:.*}/json", "1.24", "docker inspect", inVM +
			"State.Pid is the process ID in that VM, and fields that name files on dockerd's host (LogPath, HostsPath) are empty"},
		{"GET /containers/{name:.*}/top", "1.24", "docker top", inVM + "process IDs are those in the VM"},
		{"GET /containers/{name:.*}/logs", "1.24", "docker logs",
			"the output is kept on the container's own disk; log drivers that send it elsewhere are refused at create"},
		{"GET /containers/{name:.*}/stats", "1.24", "docker stats", inVM + "memory and CPU are the VM's"},
		{"GET /containers/{name:.*}/attach/ws", "1.24", "", ""},
		{"GET /containers/{name:.*}/archive", "1.24", "docker cp", ""},
		{"POST /containers/create", "1.24", "docker create", inVM +
			"options about dockerd's host (devices, namespaces, cgroups) are refused by name, never ignored; " +
			"memory is rounded up to 4 MB, 128 MB at least, and CPUs to whole ones"},
		{"POST /containers/{name:.*}/kill", "1.24", "docker kill", ""},
		{"POST /containers/{name:.*}/pause", "1.24", "docker pause", ""},
		{"POST /containers/{name:.*}/unpause", "1.24", "docker unpause", ""},
		{"POST /containers/{name:.*}/restart", "1.24", "docker restart", ""},
		{"POST /containers/{name:.*}/start", "1.24", "docker start", "503 with the numbers if the VCH has no room for the VM's memory"},
		{"POST /containers/{name:.*}/stop", "1.24", "docker stop", ""},
		{"POST /containers/{name:.*}/wait", "1.24", "docker wait", ""},
		{"POST /containers/{name:.*}/resize", "1.24", "docker run -t", ""},
		{"POST /containers/{name:.*}/attach", "1.24", "docker attach", ""},
		{"POST /containers/{name:.*}/rename", "1.24", "docker rename", "the VM is renamed too"},
		{"POST /containers/{name:.*}/update", "1.24", "docker update", inVM + "a running VM's size changes at its next start"},
		{"POST /containers/prune", "1.25", "docker container prune", "SpaceReclaimed is what the containers' disks took on their datastore"},
		{"POST /commit", "1.24", "docker commit", ""},
		{"PUT /containers/{name:.*}/archive", "1.24", "docker cp", ""},
		{"DELETE /containers/{name:.*}", "1.24", "docker rm", "link=1 is refused: there is no link that could be removed alone"},
		{"GET /containers/{name:.*}/checkpoints", "", "docker checkpoint ls", ""},
		{"POST /containers/{name:.*}/checkpoints", "", "docker checkpoint create", ""},
		{"DELETE /containers/{name}/checkpoints/{checkpoint}", "", "docker checkpoint rm", ""},
	}
}

func execNotes() []routeNote {
	return []routeNote{
		{"POST /containers/{name:.*}/exec", "1.24", "docker exec", ""},
		{"GET /exec/{id:.*}/json", "1.24", "docker exec", inVM + "Pid is the process ID in that VM"},
		{"POST /exec/{name:.*}/start", "1.24", "docker exec", ""},
		{"POST /exec/{name:.*}/resize", "1.24", "docker exec -t", ""},
	}
}

func imageNotes() []routeNote {
	const store = "IDs are manifest digests, as with dockerd's containerd image store"
	return []routeNote{
		{"GET /images/json", "1.24", "docker images", store},
		{"GET /images/search", "1.24", "docker search", ""},
		{"GET /images/get", "1.24", "docker save", ""},
		{"GET /images/{name:.*}/get", "1.24", "docker save", ""},
		{"GET /images/{name:.*}/history", "1.24", "docker history", ""},
		{"GET /images/{name:.*}/json", "1.24", "docker image inspect", store},
		{"POST /images/load", "1.24", "docker load", ""},
		{"POST /images/create", "1.24", "docker pull, docker import", "images for other platforms than linux/amd64 can be pulled, but not run; " +
			"a URL is not imported from the endpoint's own networks"},
		{"POST /images/{name:.*}/push", "1.24", "docker push", ""},
		{"POST /images/{name:.*}/tag", "1.24", "docker tag", ""},
		{"POST /images/prune", "1.25", "docker image prune", ""},
		{"DELETE /images/{name:.*}", "1.24", "docker rmi", ""},
		{"GET /distribution/{name:.*}/json", "1.30", "docker manifest", ""},
	}
}

func networkNotes() []routeNote {
	return []routeNote{
		{"GET /networks", "1.24", "docker network ls", "there is no network host; container networks are of driver external"},
		{"GET /networks/", "1.24", "docker network ls", ""},
		{"GET /networks/{id:.+}", "1.24", "docker network inspect", ""},
		{"POST /networks/create", "1.24", "docker network create", "networks of driver bridge, without driver options"},
		{"POST /networks/{id:.*}/connect", "1.24", "docker network connect", ""},
		{"POST /networks/{id:.*}/disconnect", "1.24", "docker network disconnect", ""},
		{"POST /networks/prune", "1.25", "docker network prune", ""},
		{"DELETE /networks/{id:.*}", "1.24", "docker network rm", ""},
	}
}

func volumeNotes() []routeNote {
	return []routeNote{
		{"GET /volumes", "1.24", "docker volume ls", ""},
		{"GET /volumes/{name:.*}", "1.24", "docker volume inspect", ""},
		{"POST /volumes/create", "1.24", "docker volume create", ""},
		{"POST /volumes/prune", "1.25", "docker volume prune", ""},
		{"PUT /volumes/{name:.*}", "1.42", "docker volume update", ""},
		{"DELETE /volumes/{name:.*}", "1.24", "docker volume rm", ""},
	}
}

func systemNotes() []routeNote {
	debug := func(path string) routeNote { return routeNote{"GET /debug/" + path, "", "", ""} }
	return []routeNote{
		{"OPTIONS /{anyroute:.*}", "1.24", "", ""},
		{"GET /_ping", "1.24", "", ""},
		{"HEAD /_ping", "1.40", "", ""},
		{"GET /events", "1.24", "docker events", "events of swarm, plugins and the builder do not occur"},
		{"GET /info", "1.24", "docker info",
			"CPUs and memory are what the VCH's containers may use together; what describes dockerd's host (root directory, runtimes, security options) does not apply"},
		{"GET /version", "1.24", "docker version", "the engine's version is that of Docker's code which serves the API; vicd's own is a component beside it"},
		{"GET /system/df", "1.25", "docker system df", ""},
		{"POST /auth", "1.24", "docker login", ""},
		debug("vars"), debug("pprof/"), debug("pprof/cmdline"), debug("pprof/profile"), debug("pprof/symbol"), debug("pprof/trace"), debug("pprof/{name}"),
	}
}

func buildNotes() []routeNote {
	return []routeNote{
		{"POST /build", "1.24", "docker build", ""},
		{"POST /build/prune", "1.31", "docker builder prune, docker system prune",
			"there is no build cache here: nothing is removed; docker buildx prune empties a builder's own"},
		{"POST /build/cancel", "", "docker build", ""},
		{"POST /session", "1.31", "docker build", ""},
		{"POST /grpc", "", "docker build", ""},
	}
}

func pluginNotes() []routeNote {
	return []routeNote{
		{"GET /plugins", "1.24", "docker plugin ls", "the list is always empty: `vic plugin` shows the VCH's own plugins"},
		{"GET /plugins/{name:.*}/json", "1.25", "docker plugin inspect", ""},
		{"GET /plugins/privileges", "1.25", "docker plugin install", ""},
		{"DELETE /plugins/{name:.*}", "1.24", "docker plugin rm", ""},
		{"POST /plugins/{name:.*}/enable", "1.24", "docker plugin enable", ""},
		{"POST /plugins/{name:.*}/disable", "1.24", "docker plugin disable", ""},
		{"POST /plugins/pull", "1.25", "docker plugin install", ""},
		{"POST /plugins/{name:.*}/push", "1.25", "docker plugin push", ""},
		{"POST /plugins/{name:.*}/upgrade", "1.26", "docker plugin upgrade", ""},
		{"POST /plugins/{name:.*}/set", "1.25", "docker plugin set", ""},
		{"POST /plugins/create", "1.25", "docker plugin create", ""},
	}
}

func swarmNotes() []routeNote {
	return []routeNote{
		{"POST /swarm/init", "1.24", "docker swarm init", ""},
		{"POST /swarm/join", "1.24", "docker swarm join", ""},
		{"POST /swarm/leave", "1.24", "docker swarm leave", ""},
		{"GET /swarm", "1.24", "docker swarm ca", ""},
		{"GET /swarm/unlockkey", "1.25", "docker swarm unlock-key", ""},
		{"POST /swarm/update", "1.24", "docker swarm update", ""},
		{"POST /swarm/unlock", "1.25", "docker swarm unlock", ""},
		{"GET /services", "1.24", "docker service ls", ""},
		{"GET /services/{id}", "1.24", "docker service inspect", ""},
		{"POST /services/create", "1.24", "docker service create", ""},
		{"POST /services/{id}/update", "1.24", "docker service update", ""},
		{"DELETE /services/{id}", "1.24", "docker service rm", ""},
		{"GET /services/{id}/logs", "1.25", "docker service logs", ""},
		{"GET /nodes", "1.24", "docker node ls", ""},
		{"GET /nodes/{id}", "1.24", "docker node inspect", ""},
		{"DELETE /nodes/{id}", "1.24", "docker node rm", ""},
		{"POST /nodes/{id}/update", "1.24", "docker node update", ""},
		{"GET /tasks", "1.24", "docker service ps", ""},
		{"GET /tasks/{id}", "1.24", "docker service ps", ""},
		{"GET /tasks/{id}/logs", "1.29", "docker service logs", ""},
		{"GET /secrets", "1.25", "docker secret ls", ""},
		{"POST /secrets/create", "1.25", "docker secret create", ""},
		{"DELETE /secrets/{id}", "1.25", "docker secret rm", ""},
		{"GET /secrets/{id}", "1.25", "docker secret inspect", ""},
		{"POST /secrets/{id}/update", "1.26", "docker secret update", ""},
		{"GET /configs", "1.30", "docker config ls", ""},
		{"POST /configs/create", "1.30", "docker config create", ""},
		{"DELETE /configs/{id}", "1.30", "docker config rm", ""},
		{"GET /configs/{id}", "1.30", "docker config inspect", ""},
		{"POST /configs/{id}/update", "1.30", "docker config update", ""},
	}
}
