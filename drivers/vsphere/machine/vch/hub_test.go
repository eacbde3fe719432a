package vch

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/hub"
	"github.com/openvic/vic/sdk/errdef"
)

func TestAProjectLimitsAVCHToTheHub(t *testing.T) {
	client, err := hub.New(hub.Access{URL: "https://Hub.example.com:8443/", Token: "robot$vch:secret"})
	if err != nil {
		t.Fatal(err)
	}
	h := &HubSpec{Client: client}
	const only = "hub.example.com:8443"
	for _, c := range []struct {
		allow []string
		only  bool
		want  []string
		err   error
	}{
		{nil, false, nil, nil},
		{[]string{"*.example.com"}, false, []string{"*.example.com"}, nil},
		{nil, true, []string{only}, nil},
		{[]string{only}, true, []string{only}, nil},
		{[]string{only, "docker.io"}, true, nil, errdef.ErrConflict},
		{[]string{"*.example.com"}, true, nil, errdef.ErrConflict},
	} {
		got, err := h.Limit(c.allow, c.only)
		if !slices.Equal(got, c.want) || !errors.Is(err, c.err) {
			t.Errorf("%v, %v: %v, %v", c.allow, c.only, got, err)
		}
		if err != nil && !strings.Contains(advice.Of(err), only) {
			t.Errorf("%v: the advice is %q", err, advice.Of(err))
		}
	}
}
