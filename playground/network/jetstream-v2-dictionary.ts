/** Bytes 4 to 7 of the dictionary. */
export const dictionaryId = 20260811;

/**
 * A dictionary for the frames of the v2 socket: 1536 bytes, trained with `zstd --train` on frames of `generate.ts`. The
 * real server's is larger and not ours.
 */
export const dictionary: Buffer = Buffer.from(
  [
    "N6Qw7MsnNQElENBBkg7/////8yoQTZaEbEIiSSkkXEl2k/+b8JbsptRyCQAbAcMIAAAAVFxAewAABADAAAAAAQcnRkgAQhRSThREGIMBAAAQ",
    "DEQAhmAAAAAiGQAAgEE+AAAAAKTQMNKp4QAAAAAAAAAAAAABAwAAAAAAAQAAAAQAAAAIAAAAM21iZDM1NWhwZTIyMiIsInJlY29yZCI6e2Vh",
    "bS5zdWJzY3JpYmVFdmVudHMjY29tbWl0Iiwic2VxIjoyMTQ0LCJkaWQiOiJkaWQ6cGxjOmJ6NXk2b3JrdGIzaG9vYnRtY3d3eHl2bCIsInRp",
    "bWUiOiIyMDI2LTAxLTAxVDAwOjAwOjAxLjE0NDAwMFoiLCJyZXYiOiIzbWJkMzU1NWhhMjIyIiwib3BlcmF0aW9uIjoidXBkYXRlIiwiY29s",
    "bGVjdGlvbiI6Inh5ei5zdGF0dXNwaGVyZS5zdGF0dXMiLCJya2V5IjoiM21iZDM1NGlzM3MyMiIsInJlY29yZCI6eyIkdHlwZSI6Inh5ei5z",
    "dGF0dXNwaGVyZS5zdGF0dXMiLCJjcmVhdGVkQXQiOiIyMDI2LTAxLTAxVDAwOjAwOjAxLjE0NDAwMFoiLCJzdGF0dXMiOiLwn5GOIn0sImNp",
    "ZCI6ImJhZnlyZWlkM2hzbW14bTdleTdqdnM2ZjdmN2JxYXpleTZnMnN6NXA3NG5xbGdyMnpwNmNvdnc3d3VlIn19eyIkdHlwZSI6Im1lc3Nh",
    "Z2UiLCJwYXlsb2FkIjp7IiR0eXBlIjoibmV0d29yay5ic2t5LmpldHN0cmVhbS5zdWJzY3JpYmVFdmVudHMjY29tbWl0Iiwic2VxIjoxMzkz",
    "LCJkaWQiOiJkaWQ6cGxjOnpkdTJhNmN5aXNseHB6aTZrM21zdzZpMyIsInRpbWUiOiIyMDI2LTAxLTAxVDAwOjAwOjAwLjM5MzAwMFoiLCJy",
    "ZXYiOiIzbWJkMzU0Z2p0YzIyIiwib3BlcmF0aW9uIjoiY3JlYXRlIiwiY29sbGVjdGlvbiI6Inh5ei5zdGF0dXNwaGVyZS5zdGF0dXMiLCJy",
    "a2V5IjoiM21iZDM1NGdqdGMyMiIsInJlY29yZCI6eyIkdHlwZSI6Inh5ei5zdGF0dXNwaGVyZS5zdGF0dXMiLCJjcmVhdGVkQXQiOiIyMDI2",
    "LTAxLTAxVDAwOjAwOjAwLjM5MzAwMFoiLCJzdGF0dXMiOiLwn6SvIn0sImNpZCI6ImJhZnlyZWlnd2w2bnB2anluYTY0ZW5xbW03bWx4eDRv",
    "a3dvcTR2YmZ0eHpreGxncTVhdTV2ZG4zNGNtIn19eyIkdHlwZSI6Im1lc3NhZ2UiLCJwYXlsb2FkIjp7IiR0eXBlIjoibmV0d29yay5ic2t5",
    "LmpldHN0cmVhbS5zdWJzY3JpYmVFdmVudHMjY29tbWl0Iiwic2VxIjo0ODM5LCJkaWQiOiJkaWQ6cGxjOjVnZTdkMjdqZW9lcXduaGl4N29o",
    "ZmZ4eSIsInRpbWUiOiIyMDI2LTAxLTAxVDAwOjAwOjAzLjgzOTAwMFoiLCJyZXYiOiIzbWJkMzU3cHAyczIyIiwib3BlcmF0aW9uIjoiY3Jl",
    "YXRlIiwiY29sbGVjdGlvbiI6ImNvbS5leGFtcGxlLm5vdGUiLCJya2V5IjoiM21iZDM1N3BwMnMyMiIsInJlY29yZCI6eyIkdHlwZSI6ImNv",
    "bS5leGFtcGxlLm5vdGUiLCJjcmVhdGVkQXQiOiIyMDI2LTAxLTAxVDAwOjAwOjAzLjgzOTAwMFoiLCJzdGF0dXMiOiLwn6W5In0sImNpZCI6",
    "ImJhZnlyZWllNHJxb3EycjZxNGR4N3pjM2t2YXl3Y2s3a2VzZWoyc2lua2Y3Z2trdm50NGE0bmVkZDU0In19eyIkdHlwZSI6Im1lc3NhZ2Ui",
    "LCJwYXlsb2FkIjp7IiR0eXBlIjoibmV0d29yay5ic2t5LmpldHN0cmVhbS5zdWJzY3JpYmVFdmVudHMjYWNjb3VudCIsInNlcSI6Mzg5",
  ].join(""),
  "base64",
);
