import { SegmentedControl, useMantineColorScheme } from "@mantine/core";

const CHOICES = [
  { value: "light", label: "Light" },
  { value: "auto", label: "System" },
  { value: "dark", label: "Dark" },
] as const;

/** Light, dark, or what the system says (the default). The choice stays in this browser. */
export function SchemeSwitch() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return <SegmentedControl aria-label="Colour scheme" size="xs" data={[...CHOICES]} value={colorScheme} onChange={setColorScheme} />;
}
