package vch

import (
	"fmt"
	"strconv"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/sdk/errdef"
)

// maxShares is vSphere's.
const maxShares = 1000000

// ParseShares reads low, normal, high or a number; empty is normal.
func ParseShares(s string) (*types.SharesInfo, error) {
	switch types.SharesLevel(s) {
	case "":
		return &types.SharesInfo{Level: types.SharesLevelNormal}, nil
	case types.SharesLevelLow, types.SharesLevelNormal, types.SharesLevelHigh:
		return &types.SharesInfo{Level: types.SharesLevel(s)}, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > maxShares {
		return nil, fmt.Errorf("shares %q: neither low, normal, high nor a number up to %d: %w", s, maxShares, errdef.ErrInvalid)
	}
	return &types.SharesInfo{Level: types.SharesLevelCustom, Shares: int32(n)}, nil
}

// sharesWord is ParseShares the other way round; normal is empty.
func sharesWord(s *types.SharesInfo) string {
	switch {
	case s == nil, s.Level == types.SharesLevelNormal, s.Level == "":
		return ""
	case s.Level == types.SharesLevelCustom:
		return strconv.Itoa(int(s.Shares))
	}
	return string(s.Level)
}
