// What is a chunk and what only looks like one; the parsers' vectors go over the same ground with
// whole messages.
#include "http/chunked_decoder.h"

#include <gtest/gtest.h>

#include <string>

namespace penstock {
namespace {

struct Decoded {
  std::string content;
  bool last = false;
  std::string rest;
  Violation violation = Violation::kNone;
};

Decoded decode(std::string_view in, std::size_t piece, std::size_t max_extension_bytes = 64) {
  ChunkedDecoder decoder;
  decoder.start(max_extension_bytes);
  Decoded decoded;
  while (!in.empty()) {
    const ChunkedDecoder::Step step = decoder.next(in.substr(0, piece));
    decoded.content += step.content;
    if (step.event == ChunkedDecoder::Event::kRefused) {
      decoded.violation = decoder.violation();
      return decoded;
    }
    in.remove_prefix(step.consumed);
    if (step.event == ChunkedDecoder::Event::kLastChunk) {
      decoded.last = true;
      decoded.rest = in;
      return decoded;
    }
  }
  return decoded;
}

struct Row {
  std::string_view in;
  std::string_view content;
  Violation violation = Violation::kNone;
};

TEST(ChunkedDecoder, TakesPlainChunksAndWellFormedExtensions) {
  const Row table[] = {
      {"0\r\n", ""},
      {"000\r\n", ""},
      {"5\r\nhello\r\n0\r\n", "hello"},
      {"a\r\n0123456789\r\n0\r\n", "0123456789"},
      {"A\r\n0123456789\r\n0\r\n", "0123456789"},
      {"0000000000000002\r\nab\r\n0\r\n", "ab"},
      {"2\r\n\r\n\r\n0\r\n", "\r\n"},
      {"1\r\na\r\n2\r\nbc\r\n0\r\n", "abc"},
      {"1;a\r\nx\r\n0;b=c\r\n", "x"},
      {"1;a=b;c\r\nx\r\n0\r\n", "x"},
      {"1; a = b ; c\r\nx\r\n0\r\n", "x"},
      {"1;a=\"b;c\"\r\nx\r\n0\r\n", "x"},
      {"1;a=\"b\\\"c\"\r\nx\r\n0\r\n", "x"},
      {"1;a=\"\xc3\xa9\"\r\nx\r\n0\r\n", "x"},
  };
  for (const Row& row : table) {
    for (std::size_t piece : {std::size_t{1}, std::size_t{3}, row.in.size()}) {
      const Decoded decoded = decode(row.in, piece);
      EXPECT_EQ(decoded.violation, Violation::kNone) << row.in;
      EXPECT_EQ(decoded.content, row.content) << row.in;
      EXPECT_TRUE(decoded.last) << row.in;
    }
  }
}

TEST(ChunkedDecoder, RefusesEverythingElse) {
  const Row table[] = {
      {"\r\n", "", Violation::kChunkSize},
      {"x\r\n", "", Violation::kChunkSize},
      {"-1\r\n", "", Violation::kChunkSize},
      {"+1\r\nx", "", Violation::kChunkSize},
      {" 1\r\nx", "", Violation::kChunkSize},
      {"1 \r\nx", "", Violation::kChunkSize},
      {"1\t\r\nx", "", Violation::kChunkSize},
      {"1 ;a\r\nx", "", Violation::kChunkSize},
      {"0x1\r\nx", "", Violation::kChunkSize},
      {"1_0\r\nx", "", Violation::kChunkSize},
      {"1,\r\nx", "", Violation::kChunkSize},
      {";a\r\nx", "", Violation::kChunkSize},
      {"1\nx", "", Violation::kChunkLine},
      {"1\r\rx", "", Violation::kChunkLine},
      {"1\rx\r\n", "", Violation::kChunkLine},
      {"8000000000000000\r\n", "", Violation::kChunkSizeTooLarge},
      {"ffffffffffffffff\r\n", "", Violation::kChunkSizeTooLarge},
      {"10000000000000000\r\n", "", Violation::kChunkSizeTooLarge},
      {"00000000000000001\r\n", "", Violation::kChunkSizeTooLarge},
      {"1;\r\nx", "", Violation::kChunkExtension},
      {"1;=a\r\nx", "", Violation::kChunkExtension},
      {"1;a=b;\r\nx", "", Violation::kChunkExtension},
      {"1;;a\r\nx", "", Violation::kChunkExtension},
      {"1;a=b=c\r\nx", "", Violation::kChunkExtension},
      {"1;a\x01\r\nx", "", Violation::kChunkExtension},
      {"1;a\nx", "", Violation::kChunkLine},
      {"1;a\rx", "", Violation::kChunkLine},
      {"1;a=\"b\nc\"\r\nx", "", Violation::kChunkLine},
      {"1;a=\"b\r\nc\"\r\nx", "", Violation::kChunkLine},
      {"1;a=\"b\\\r\nx", "", Violation::kChunkLine},
      {"1\r\nxy", "x", Violation::kChunkEnd},
      {"1\r\nx\n0\r\n", "x", Violation::kChunkEnd},
      {"1\r\nx\r0\r\n", "x", Violation::kChunkEnd},
      {"1\r\nx0\r\n\r\n", "x", Violation::kChunkEnd},
      {"2\r\nx\r\n0\r\n", "x\r", Violation::kChunkEnd},
  };
  for (const Row& row : table) {
    for (std::size_t piece : {std::size_t{1}, std::size_t{2}, row.in.size()}) {
      const Decoded decoded = decode(row.in, piece);
      EXPECT_EQ(decoded.violation, row.violation) << row.in;
      EXPECT_EQ(decoded.content, row.content) << row.in;
      EXPECT_FALSE(decoded.last) << row.in;
    }
  }
}

TEST(ChunkedDecoder, TakesTheLargestSizeThatStaysBelowTwoToThe63) {
  const Decoded decoded = decode("7fffffffffffffff\r\nx", 1);
  EXPECT_EQ(decoded.violation, Violation::kNone);
  EXPECT_EQ(decoded.content, "x");
}

TEST(ChunkedDecoder, BoundsTheExtensionsOfAllChunksTogether) {
  EXPECT_EQ(decode("1;aa\r\nx\r\n1;bb\r\nx\r\n0\r\n", 1, 4).violation, Violation::kNone);
  EXPECT_EQ(decode("1;aa\r\nx\r\n1;bb\r\nx\r\n0\r\n", 1, 3).violation,
            Violation::kChunkExtensionsTooLarge);
}

TEST(ChunkedDecoder, LeavesWhatIsBehindTheLastChunkAlone) {
  EXPECT_EQ(decode("1\r\nx\r\n0\r\n\r\nGET", 100).rest, "\r\nGET");
}

TEST(ChunkedDecoder, GivesContentInOnePieceWhateverItsLength) {
  const std::string content(100'000, 'x');
  ChunkedDecoder decoder;
  decoder.start(0);
  const ChunkedDecoder::Step step = decoder.next("186a0\r\n" + content);
  EXPECT_EQ(step.event, ChunkedDecoder::Event::kContent);
  EXPECT_EQ(step.content.size(), content.size());
}

}  // namespace
}  // namespace penstock
