package cli

import (
	"fmt"

	"github.com/BurntSushi/toml"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/option"
	"github.com/openvic/vic/sdk/errdef"
)

// applyFile gives those options their values from --config that the command line does not give. An
// option that the command does not have is an error: it would be ignored.
func applyFile(v option.Values) error {
	file := v.String("config")
	if file == "" {
		return nil
	}
	var doc map[string]any
	if _, err := toml.DecodeFile(file, &doc); err != nil {
		return advice.Wrap(fmt.Errorf("--config %s: %w: %w", file, errdef.ErrInvalid, err), "give a TOML file with options, such as inspect config prints")
	}
	if err := v.Fill(doc, option.Option.Recorded); err != nil {
		return advice.Wrap(fmt.Errorf("--config %s: %w", file, err), "see --help for the options and their values")
	}
	return nil
}
