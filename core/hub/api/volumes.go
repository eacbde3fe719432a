package api

import (
	"net/http"

	"github.com/openvic/vic/core/hub/role"
)

func volumeRoutes() []route {
	return []route{
		{method: "GET", path: "/systeminfo/volumes", id: "getVolumes", needs: role.Configuration, run: (*api).volumes,
			says: "Tell how much room there is where the hub keeps content and its database; nothing for a bucket or a database elsewhere", gives: volumesForm{}},
	}
}

// Volume is a file system that the hub writes to, in bytes. Free is what is left for the hub.
type Volume struct {
	Total uint64
	Free  uint64
}

type volumeForm struct {
	Total int64 `json:"total"`
	Free  int64 `json:"free"`
}

// volumesForm is Harbor's form of all.
type volumesForm struct {
	Storage []volumeForm `json:"storage"`
}

func (a *api) volumes(c *call) error {
	out := volumesForm{Storage: []volumeForm{}}
	if a.Volumes != nil {
		all, err := a.Volumes()
		if err != nil {
			return err
		}
		for _, v := range all {
			out.Storage = append(out.Storage, volumeForm{int64(v.Total), int64(v.Free)})
		}
	}
	return c.answer(http.StatusOK, out)
}
