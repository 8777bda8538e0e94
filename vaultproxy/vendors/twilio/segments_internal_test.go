package twilio

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSegments_FollowTheRulesOfTheirEncoding(t *testing.T) {
	t.Parallel()
	x := func(n int) string { return strings.Repeat("x", n) }
	for name, test := range map[string]struct {
		body string
		want int64
	}{
		"nothing":                                   {"", 1},
		"a letter":                                  {"x", 1},
		"160 letters":                               {x(160), 1},
		"161 letters":                               {x(161), 2},
		"two full parts":                            {x(306), 2},
		"one letter beyond two parts":               {x(307), 3},
		"letters with accents that GSM-7 has":       {strings.Repeat("é", 160), 1},
		"line breaks":                               {strings.Repeat("\r\n", 80), 1},
		"80 euro signs":                             {strings.Repeat("€", 80), 1},
		"81 euro signs":                             {strings.Repeat("€", 81), 2},
		"brackets count twice":                      {x(159) + "[", 2},
		"every character that counts twice":         {strings.Repeat("\f^{}\\[~]|€", 8), 1},
		"an escape is not torn from its character":  {x(152) + "€" + x(152), 3},
		"an escape that ends a part":                {x(151) + "€" + x(153), 2},
		"a backtick is not GSM-7":                   {x(69) + "`", 1},
		"one letter beyond 70 with a backtick":      {x(70) + "`", 2},
		"a small cedilla is not GSM-7":              {x(70) + "ç", 2},
		"a typographic quote":                       {x(70) + "’", 2},
		"70 Chinese characters":                     {strings.Repeat("好", 70), 1},
		"71 Chinese characters":                     {strings.Repeat("好", 71), 2},
		"two full parts of UCS-2":                   {strings.Repeat("好", 134), 2},
		"one beyond two parts of UCS-2":             {strings.Repeat("好", 135), 3},
		"35 emoji":                                  {strings.Repeat("😀", 35), 1},
		"36 emoji":                                  {strings.Repeat("😀", 36), 2},
		"an emoji is not torn apart":                {strings.Repeat("好", 66) + "😀" + strings.Repeat("好", 66), 3},
		"what smart encoding would make smaller":    {x(100) + "“”", 2},
		"a character that only looks like a letter": {x(159) + "а", 3},
		"a zero-width space":                        {x(159) + "\u200b", 3},
		"a family of emoji joined":                  {strings.Repeat("👨\u200d👩\u200d👧", 8), 1},
		"the longest text that Twilio takes":        {x(1600), 11},
		"the longest that Twilio takes, in UCS-2":   {strings.Repeat("好", 1600), 24},
		"a no-break space":                          {x(100) + "\u00a0", 2},
		"the capital cedilla is GSM-7":              {x(159) + "Ç", 1},
		"Greek capitals are GSM-7":                  {strings.Repeat("ΔΦΓΛΩΠΨΣΘΞ", 16), 1},
		"Greek capitals that look Latin are not":    {x(70) + "Α", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, segments(test.body))
		})
	}
}
