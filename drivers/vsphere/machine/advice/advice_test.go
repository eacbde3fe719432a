package advice

import (
	"errors"
	"fmt"
	"testing"
)

func TestTheInnermostRemedyWins(t *testing.T) {
	cause := errors.New("disk full")
	err := fmt.Errorf("create: %w", Wrap(fmt.Errorf("upload: %w", Wrap(cause, "free %d MiB", 7)), "try again"))
	if got := Of(err); got != "free 7 MiB" {
		t.Errorf("remedy %q", got)
	}
	if err.Error() != "create: upload: disk full" || !errors.Is(err, cause) {
		t.Errorf("text %q", err)
	}
	if Of(cause) != "" || Of(nil) != "" || Wrap(nil, "x") != nil {
		t.Error("an error without a remedy has none")
	}
}
